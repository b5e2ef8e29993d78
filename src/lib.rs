//! What Lambda functions write, turned into metrics and logs and ferried to any backend.
//!
//! ```text
//! payload ──event──▶ one log event at a time ──parse──▶ what it says ──pipeline──▶ Log | Metric
//!         ──backend──▶ Requests ──delivery──▶ network
//!                                    └─ what wasn't acknowledged ──▶ store ──▶ redrive
//! ```
//!
//! Data goes one way, an event at a time: a payload is inflated through a window, each log event becomes a log
//! and perhaps metrics, and each backend's encoder frames and compresses them as they come. Nothing holds the
//! whole batch. Left of `delivery` there are plain functions: no clock, no environment, no socket.
//!
//! A module uses lower layers only, which `tests/layers.rs` checks:
//!
//! ```text
//! 4  forwarder settings           everything wired
//! 3  backend delivery store       telemetry → requests │ requests → network │ requests → where they wait
//! 2  aws pipeline                 AWS' APIs │ what lines say → telemetry
//! 1  event parse                  payload → log events │ line → what it says
//! 0  env json ledger model network parcel request
//! ```
//!
//! Two programs are made of it: `bootstrap`, the Lambda function, and `logferry`, the command line.

pub mod aws;
pub mod backend;
pub mod delivery;
pub mod env;
pub mod event;
pub mod forwarder;
pub mod json;
pub mod ledger;
pub mod model;
pub mod network;
pub mod parcel;
pub mod parse;
pub mod pipeline;
pub mod request;
pub mod settings;
pub mod store;
