//! logferry.

pub mod aws;
pub mod backend;
pub mod delivery;
pub mod env;
pub mod event;
pub mod forwarder;
pub mod json;
pub mod ledger;
pub mod model;
pub mod parcel;
pub mod parse;
pub mod pipeline;
pub mod request;
pub mod settings;
pub mod store;
