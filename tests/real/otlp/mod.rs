//! Logs and metrics as OpenTelemetry's collectors take them: into one, Loki, `VictoriaLogs` and `VictoriaMetrics`.

use std::collections::BTreeMap;

use crate::ferry::Events;

mod collector;
mod logs;
mod metrics;

/// Names and values.
type Texts = BTreeMap<String, String>;

/// What is said of a function and its log stream.
fn resource(events: &Events) -> Texts {
    let of_stream = [
        ("aws.log.stream.names", format!("[\"{}\"]", Events::log_stream())),
        ("faas.instance", Events::log_stream().to_owned()),
    ];
    let mut all = function(events);
    all.extend(of_stream.map(|(name, value)| (name.to_owned(), value)));
    all
}

/// What is said of a function.
fn function(events: &Events) -> Texts {
    let (name, group) = (events.function.clone(), events.log_group());
    let all = [
        ("aws.log.group.arns", format!("[\"arn:aws:logs:eu-west-1:123456789012:log-group:{group}\"]")),
        ("aws.log.group.names", format!("[\"{group}\"]")),
        ("cloud.account.id", "123456789012".to_owned()),
        ("cloud.platform", "aws_lambda".to_owned()),
        ("cloud.provider", "aws".to_owned()),
        ("cloud.region", "eu-west-1".to_owned()),
        ("cloud.resource_id", format!("arn:aws:lambda:eu-west-1:123456789012:function:{name}")),
        ("deployment.environment", "prod".to_owned()),
        ("faas.name", name.clone()),
        ("faas.version", "$LATEST".to_owned()),
        ("service.name", name),
        ("team", "shop".to_owned()),
    ];
    all.map(|(name, value)| (name.to_owned(), value)).into()
}

/// The settings that [`function`] goes with.
const ATTRIBUTES: [(&str, &str); 2] =
    [("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=prod"), ("LOGFERRY_TAGS", "team:shop")];
