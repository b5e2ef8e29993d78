//! The variables themselves.

use std::time::Duration;

use super::super::histogram::Aggregation;
use super::super::metrics::Temporality;
use super::super::writer::Format;
use super::values::{aggregation, base, compression, headers, millis, pairs, protocol, temporality, whole};
use crate::env::{Address, Row, Secret, Setting, read};
use crate::request::Compression;

/// Variables that there are once for all signals, and once for each.
pub(super) struct Names {
    pub(super) endpoint: Setting<Address>,
    pub(super) headers: Setting<Vec<(String, Secret)>>,
    pub(super) compression: Setting<Compression>,
    pub(super) timeout: Setting<Duration>,
    pub(super) protocol: Setting<Format>,
    pub(super) certificate: Setting<String>,
    pub(super) client_key: Setting<String>,
    pub(super) client_certificate: Setting<String>,
}

impl Names {
    const fn rows(&self) -> [Row; 8] {
        [
            self.endpoint.row(),
            self.headers.row(),
            self.compression.row(),
            self.timeout.row(),
            self.protocol.row(),
            self.certificate.row(),
            self.client_key.row(),
            self.client_certificate.row(),
        ]
    }
}

/// The settings, for documents: of all signals, then of each.
pub(in super::super) fn rows() -> impl Iterator<Item = Row> {
    let single = [RESOURCE_ATTRIBUTES.row(), SERVICE_NAME.row(), TEMPORALITY.row(), HISTOGRAM.row()];
    ALL.rows().into_iter().chain(single).chain(LOGS.rows()).chain(METRICS.rows()).chain([RETRY_MORE.row()])
}

pub(super) const ALL: Names = Names {
    endpoint: Setting::new(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        base,
        "Address of the collector, as `https://collector.example.com:4318`: `/v1/logs` and `/v1/metrics` are put behind it.",
    )
    .address(),
    headers: Setting::new(
        "OTEL_EXPORTER_OTLP_HEADERS",
        headers,
        "Headers sent along, as `name=value` pairs set apart by commas, values percent-encoded.",
    )
    .secret(),
    compression: Setting::new(
        "OTEL_EXPORTER_OTLP_COMPRESSION",
        compression,
        "How bodies are compressed: gzip or none. Exporters of OpenTelemetry do not compress unless told; here gzip is the default.",
    )
    .default("gzip"),
    timeout: Setting::new(
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        millis,
        "How long one attempt to send may take, in milliseconds; LOGFERRY_SEND_TIMEOUT when empty.",
    ),
    protocol: Setting::new("OTEL_EXPORTER_OTLP_PROTOCOL", protocol, "How bodies are encoded: http/protobuf or http/json.")
        .default("http/protobuf"),
    certificate: Setting::new(
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        read::text,
        "PEM file of certificate authorities to trust at the collector, beside the built-in ones.",
    ),
    client_key: Setting::new(
        "OTEL_EXPORTER_OTLP_CLIENT_KEY",
        read::text,
        "PEM file of the private key that the client shows itself with.",
    ),
    client_certificate: Setting::new(
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        read::text,
        "PEM file of the certificates that the client shows itself with, its own first.",
    ),
};

pub(super) const LOGS: Names = Names {
    endpoint: Setting::new(
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
        whole,
        "Address that takes logs, as it is; OTEL_EXPORTER_OTLP_ENDPOINT with `/v1/logs` when empty.",
    )
    .address(),
    headers: Setting::new(
        "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
        headers,
        "Headers of logs, instead of OTEL_EXPORTER_OTLP_HEADERS.",
    )
    .secret(),
    compression: Setting::new(
        "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION",
        compression,
        "How logs are compressed, instead of OTEL_EXPORTER_OTLP_COMPRESSION.",
    ),
    timeout: Setting::new(
        "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
        millis,
        "How long one attempt to send logs may take, instead of OTEL_EXPORTER_OTLP_TIMEOUT.",
    ),
    protocol: Setting::new(
        "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
        protocol,
        "How logs are encoded, instead of OTEL_EXPORTER_OTLP_PROTOCOL.",
    ),
    certificate: Setting::new(
        "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE",
        read::text,
        "Certificate authorities for logs, instead of OTEL_EXPORTER_OTLP_CERTIFICATE.",
    ),
    client_key: Setting::new(
        "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY",
        read::text,
        "Private key for logs, instead of OTEL_EXPORTER_OTLP_CLIENT_KEY.",
    ),
    client_certificate: Setting::new(
        "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE",
        read::text,
        "Certificates of the client for logs, instead of OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE.",
    ),
};

pub(super) const METRICS: Names = Names {
    endpoint: Setting::new(
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        whole,
        "Address that takes metrics, as it is; OTEL_EXPORTER_OTLP_ENDPOINT with `/v1/metrics` when empty.",
    )
    .address(),
    headers: Setting::new(
        "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
        headers,
        "Headers of metrics, instead of OTEL_EXPORTER_OTLP_HEADERS.",
    )
    .secret(),
    compression: Setting::new(
        "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
        compression,
        "How metrics are compressed, instead of OTEL_EXPORTER_OTLP_COMPRESSION.",
    ),
    timeout: Setting::new(
        "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
        millis,
        "How long one attempt to send metrics may take, instead of OTEL_EXPORTER_OTLP_TIMEOUT.",
    ),
    protocol: Setting::new(
        "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
        protocol,
        "How metrics are encoded, instead of OTEL_EXPORTER_OTLP_PROTOCOL.",
    ),
    certificate: Setting::new(
        "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE",
        read::text,
        "Certificate authorities for metrics, instead of OTEL_EXPORTER_OTLP_CERTIFICATE.",
    ),
    client_key: Setting::new(
        "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY",
        read::text,
        "Private key for metrics, instead of OTEL_EXPORTER_OTLP_CLIENT_KEY.",
    ),
    client_certificate: Setting::new(
        "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE",
        read::text,
        "Certificates of the client for metrics, instead of OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE.",
    ),
};

pub(super) const RESOURCE_ATTRIBUTES: Setting<Vec<(String, String)>> = Setting::new(
    "OTEL_RESOURCE_ATTRIBUTES",
    pairs,
    "Attributes of every resource, as `key=value` pairs set apart by commas, values percent-encoded.",
);
pub(super) const SERVICE_NAME: Setting<String> = Setting::new(
    "OTEL_SERVICE_NAME",
    read::text,
    "Name of the service, instead of the name of each function or log group.",
);
pub(super) const TEMPORALITY: Setting<Temporality> = Setting::new(
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
    temporality,
    "Whether counts and histograms are of each batch (delta; lowmemory means the same) or add up since the forwarder started (cumulative), which Prometheus and Mimir need. Exporters of OpenTelemetry default to cumulative.",
)
.default("delta");
pub(super) const HISTOGRAM: Setting<Aggregation> = Setting::new(
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
    aggregation,
    "How histograms are sent: explicit_bucket_histogram or base2_exponential_bucket_histogram.",
)
.default("explicit_bucket_histogram");
pub(super) const RETRY_MORE: Setting<bool> = Setting::new(
    "LOGFERRY_OTLP_RETRY_MORE",
    read::boolean,
    "Whether 408 and 500 are tried again too, which gateways answer when they are busy; OTLP says 429, 502, 503 and 504.",
)
.default("false");
