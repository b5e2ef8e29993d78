//! Variables of OpenTelemetry's exporters.

use super::*;

#[test]
fn what_a_signal_is_told_comes_before_what_all_are_told() {
    let target = |pairs: &[(&str, &str)]| {
        let found = otlp(pairs);
        [found.logs, found.metrics].map(|target| {
            let exposed = |(name, value): &(std::borrow::Cow<'static, str>, crate::request::Header)| match value {
                crate::request::Header::Public(value) => format!("{name}: {value}"),
                crate::request::Header::Secret(secret) => format!("{name}: secret {}", secret.expose()),
            };
            let headers: Vec<_> = target.endpoint.headers.iter().map(exposed).collect();
            (target.endpoint.url, headers, target.endpoint.timeout.map(|timeout| timeout.as_millis()))
        })
    };
    let url = "https://collector.example.com:4318/v1/";
    let protobuf = vec!["Content-Type: application/x-protobuf".to_owned(), "Content-Encoding: gzip".to_owned()];
    let expected = [(format!("{url}logs"), protobuf.clone(), None), (format!("{url}metrics"), protobuf.clone(), None)];
    assert_eq!(target(&[]), expected);
    let [logs, metrics] = target(&[
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://10.0.0.1:4318/"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20abc%3D, x-tenant = 7"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "api-key=k=1"),
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "700"),
    ]);
    let json = vec!["Content-Type: application/json".to_owned(), "api-key: secret k=1".to_owned()];
    assert_eq!(logs, ("http://10.0.0.1:4318/".to_owned(), json, Some(2500)));
    let both = ["Authorization: secret Basic abc=", "x-tenant: secret 7"].map(str::to_owned);
    assert_eq!(metrics, (format!("{url}metrics"), [protobuf, both.to_vec()].concat(), Some(700)));
}

#[test]
fn certificates_of_a_signal_come_before_those_of_all() {
    let found = otlp(&[
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/opt/ca.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/opt/key.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/opt/client.pem"),
        ("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", "/opt/other.pem"),
    ]);
    let paths: Vec<_> = found
        .certificates()
        .map(|own| (own.authorities.as_ref().unwrap().path.as_str(), own.client.as_ref().unwrap().1.path.as_str()))
        .collect();
    assert_eq!(paths, [("/opt/ca.pem", "/opt/key.pem"), ("/opt/other.pem", "/opt/key.pem")]);
    assert_eq!(otlp(&[]).certificates().count(), 0);
}

#[test]
fn mistakes_say_what_is_wrong_and_no_secret() {
    for (pairs, expected) in [
        (&[][..], "OTEL_EXPORTER_OTLP_ENDPOINT is not set: the otlp backend needs the address of a collector"),
        (&[("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://a/l")], "OTEL_EXPORTER_OTLP_ENDPOINT is not set"),
        (
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://a/?k=v")],
            "OTEL_EXPORTER_OTLP_ENDPOINT `https://a/?***` holds a `?`",
        ),
        (
            &[ENDPOINT, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
            "OTEL_EXPORTER_OTLP_PROTOCOL `grpc` is not spoken here: expected `http/protobuf` or `http/json`",
        ),
        (
            &[ENDPOINT, ("OTEL_EXPORTER_OTLP_HEADERS", "s3cret")],
            "OTEL_EXPORTER_OTLP_HEADERS has an entry without a name or without a `=`",
        ),
        (&[ENDPOINT, ("OTEL_EXPORTER_OTLP_HEADERS", "a=s3cret%zz")], "OTEL_EXPORTER_OTLP_HEADERS has a value for `a`"),
        (&[ENDPOINT, ("OTEL_EXPORTER_OTLP_HEADERS", "a=s3cret%0a")], "OTEL_EXPORTER_OTLP_HEADERS holds a line break"),
        (&[ENDPOINT, ("OTEL_EXPORTER_OTLP_HEADERS", "a=")], "OTEL_EXPORTER_OTLP_HEADERS holds `a` without a value"),
        (&[ENDPOINT, ("OTEL_EXPORTER_OTLP_HEADERS", "Host=s3cret")], "OTEL_EXPORTER_OTLP_HEADERS holds `Host`"),
        (&[ENDPOINT, ("OTEL_EXPORTER_OTLP_HEADERS", "s3cret key=1")], "OTEL_EXPORTER_OTLP_HEADERS holds a name"),
        (&[ENDPOINT, ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s")], "OTEL_EXPORTER_OTLP_TIMEOUT `10s` is not a number"),
        (
            &[ENDPOINT, ("OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY", "/k")],
            "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE is not set, but OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY is",
        ),
    ] {
        let (_, mistakes) = try_otlp(pairs);
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(mistakes[0].starts_with(expected) && !mistakes[0].contains("s3cret"), "{}", mistakes[0]);
    }
    let only_logs = [("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://a/l"), ("LOGFERRY_OTLP_SEND", "logs")];
    assert_eq!(try_otlp(&only_logs).1, Vec::<String>::new());
}
