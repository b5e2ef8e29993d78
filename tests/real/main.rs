//! Suites against real servers: what they store is compared with what the log events said.
//!
//! ```sh
//! bash tests/real/run              # installs and starts the servers, runs all suites, stops the servers
//! bash tests/real/run datadog      # only tests with `datadog` in their names
//! ```
//!
//! A suite is a module here. Its tests are ignored unless asked for, and begin with
//! `let Some(address) = server("LOKI") else { return };`, which says so when there is no such server. Then they make an
//! event (`ferry::Events`), send it in one of three ways (`ferry::WAYS`: the library, `logferry replay`, `bootstrap`
//! under a Runtime API) and ask until the server knows of it (`servers::eventually`). Each way and each test has a
//! function name of its own, as servers keep what other tests have sent.
//!
//! What `tests/real/run` gives, each as `LOGFERRY_REAL_…`, and how it is read back:
//!
//! | name | what | read back |
//! |---|---|---|
//! | `VICTORIAMETRICS`, `VICTORIAMETRICS_DEDUP` | Datadog series at `/datadog`, Prometheus text, remote write 1.0, Influx lines, OTLP metrics; the second keeps one of equal samples | `GET /internal/force_flush`, then `/api/v1/export?match[]={…}&start=0&end=…` |
//! | `VICTORIALOGS` | Datadog logs at `/insert/datadog` (attributes must be strings), `_bulk`, Loki, OTLP logs | `GET /internal/force_flush`, then `/select/logsql/query?query=…` |
//! | `PROMETHEUS`, `PROMETHEUS_OUT_OF_ORDER` | remote write 1.0 at `/api/v1/write`; the second takes samples that are up to an hour late | `/api/v1/query?query=name[1h]` |
//! | `PROMETHEUS_2_0` | remote write 2.0 alone, samples up to an hour late too | the same |
//! | `INFLUXDB` | line protocol at `/write?db=…` after `POST /query?q=CREATE DATABASE …` | `/query?db=…&epoch=ms&q=…` |
//! | `LOKI`, `LOKI_TENANTS` | `/loki/api/v1/push`, `/otlp/v1/logs`; the second wants `X-Scope-OrgID` | `/loki/api/v1/query_range?query={…}&start=<ns>&end=<ns>` |
//! | `COLLECTOR` | OTLP at `/v1/logs` and `/v1/metrics` | the file that `LOGFERRY_REAL_COLLECTOR_FILE` names, a JSON object a line |
//! | `OPENSEARCH`, `OPENSEARCH_SMALL` | `/_bulk` into data streams, of which a test makes a template first; the second takes bodies of 100 KB, inflated | `POST /<stream>/_refresh`, then `/<stream>/_search?…` |
//! | `MOTO` | S3, SQS, Secrets Manager, SSM and KMS; a call has to be signed with the credentials that `stores` makes | the same APIs |
//! | `RIE`, `CARGO_LAMBDA` | programs that stand in for Lambda, see `emulators` | |

#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test may fail")]

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod common;

mod datadog_logs;
mod datadog_series;
mod elasticsearch;
mod emulators;
mod ferry;
mod guance;
mod loki;
mod opensearch;
mod otlp;
mod prometheus;
mod secrets;
mod servers;
mod stores;
