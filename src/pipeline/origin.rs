//! Who wrote a batch: function, version, account, region.
//!
//! Name: `functionArn` or `platform.initStart`, else the stream, else the group.
//! Account: `extractedFields`, else `functionArn`, else the stream, else the owner of the group.
//! Region: `extractedFields`, else `functionArn`, else the stream or the group, else `Runtime Version ARN`,
//! else where the forwarder runs.

use std::collections::HashMap;

use super::naming::{FunctionArn, centralized, edge, function, is_region};
use super::spelling::Spelling;
use crate::event::Envelope;
use crate::model::{Forwarder, Function, Origin};
use crate::parse::{Emf, InitStart, Platform, Start};

/// The origin of the event at hand, and what it was worked out from.
#[derive(Debug)]
pub(super) struct Origins {
    current: Origin,
    /// The event's own fields, as JSON.
    extracted: String,
    /// Where these say that it comes from.
    of_event: Place,
    /// Where it comes from otherwise.
    of_batch: Place,
    /// Whether that region is only where the forwarder runs.
    assumed: bool,
    /// Whether a line has said how the environment was started.
    stated: bool,
}

/// An account and a region, as far as they are known.
#[derive(Clone, Debug, Default)]
struct Place {
    account: Option<String>,
    region: Option<String>,
}

impl Origins {
    pub(super) fn new(envelope: &Envelope, forwarder: &Forwarder, tags: Vec<(String, String)>) -> Self {
        let central = centralized(&envelope.log_group, &envelope.log_stream);
        let stream = central.map_or(envelope.log_stream.as_str(), |central| central.stream);
        let function = function(&envelope.log_group, stream);
        let home = function.as_ref().filter(|function| function.edge).and_then(|_| edge(&envelope.log_group));
        let region = home.map(|(region, _)| region).or(central.map(|central| central.region));
        let assumed = region.is_none();
        let region = region.map(str::to_owned).or_else(|| forwarder.region.clone());
        let owner = central.map_or(envelope.owner.as_str(), |central| central.account);
        let account = Some(owner.to_owned()).filter(|owner| !owner.is_empty());
        let current = Origin {
            generation: 0,
            account: account.clone(),
            region: region.clone(),
            log_group: envelope.log_group.clone(),
            log_stream: envelope.log_stream.clone(),
            function,
            tags,
        };
        let of_batch = Place { account, region };
        Self { current, extracted: String::new(), of_event: Place::default(), of_batch, assumed, stated: false }
    }

    pub(super) const fn current(&self) -> &Origin {
        &self.current
    }

    /// Takes the event's own account and region, when it has them: most have none.
    #[inline]
    pub(super) fn extracted(&mut self, json: Option<&str>) {
        if json.is_some() || !self.extracted.is_empty() {
            self.change_extracted(json.unwrap_or_default());
        }
    }

    fn change_extracted(&mut self, json: &str) {
        if json == self.extracted {
            return;
        }
        json.clone_into(&mut self.extracted);
        let mut fields: HashMap<String, serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
        let mut field = |name: &str| match fields.remove(name) {
            Some(serde_json::Value::String(value)) if !value.is_empty() => Some(value),
            _ => None,
        };
        self.of_event = Place { account: field("@aws.account"), region: field("@aws.region") };
        self.settle();
    }

    /// Works out account and region.
    fn settle(&mut self) {
        let account = self.of_event.account.as_ref().or(self.of_batch.account.as_ref());
        let region = self.of_event.region.as_ref().or(self.of_batch.region.as_ref());
        if (account, region) != (self.current.account.as_ref(), self.current.region.as_ref()) {
            let (account, region) = (account.cloned(), region.cloned());
            self.change(|origin| (origin.account, origin.region) = (account, region));
        }
    }

    /// Takes what the line says of the function.
    pub(super) fn learn(&mut self, platform: &Platform<'_>, spelling: Spelling) {
        if let Platform::Report(report) = platform {
            if report.metrics.restore_duration_ms.is_some() {
                self.inferred_type("snap-start");
            } else if report.metrics.init_duration_ms.is_some() {
                self.inferred_type("on-demand");
            }
        } else if let Platform::Start(start) = platform {
            self.start(start);
        } else if !matches!(platform, Platform::End { .. }) {
            self.learn_other(platform, spelling);
        }
    }

    #[inline(never)]
    fn learn_other(&mut self, platform: &Platform<'_>, spelling: Spelling) {
        match platform {
            Platform::InitStart(start) => self.init_start(start),
            Platform::RestoreStart(start) => {
                self.init_start(start);
                self.inferred_type("snap-start");
            }
            Platform::RestoreReport(_) => self.inferred_type("snap-start"),
            Platform::InitReport(report) => match report.initialization_type.as_deref() {
                Some(stated) => self.stated_type(stated),
                None if spelling == Spelling::Text => {
                    if let Some(told) = report.told_type() {
                        self.inferred_type(told);
                    }
                }
                None => {}
            },
            Platform::End { .. }
            | Platform::Extension(_)
            | Platform::Fault(_)
            | Platform::ImageError
            | Platform::LogsSubscription(_)
            | Platform::Other
            | Platform::Report(_)
            | Platform::RuntimeDone(_)
            | Platform::Start(_)
            | Platform::TelemetrySubscription(_)
            | Platform::Timeout(_)
            | Platform::Unknown => {}
        }
    }

    /// Takes what an invocation's start says of the function.
    fn start(&mut self, start: &Start<'_>) {
        let arn = start.function_arn.as_deref().and_then(FunctionArn::parse);
        let version = start.version.as_deref();
        let known = self.current.function.as_ref();
        let same = match &arn {
            Some(arn) => known.is_some_and(|function| {
                function.name == arn.name && function.partition.as_deref() == Some(arn.partition)
            }),
            None => true,
        };
        let same_version =
            known.is_none_or(|function| version.is_none_or(|version| function.version.as_deref() == Some(version)));
        if same && same_version {
            return;
        }
        if let Some(arn) = &arn {
            self.of_batch = Place { account: Some(arn.account.to_owned()), region: Some(arn.region.to_owned()) };
            self.assumed = false;
            self.settle();
        }
        self.change(|origin| {
            if let Some(arn) = arn {
                let function = origin.function.get_or_insert_default();
                arn.name.clone_into(&mut function.name);
                function.partition = Some(arn.partition.to_owned());
            }
            if let (Some(function), Some(version)) = (&mut origin.function, version) {
                function.version = Some(version.to_owned());
            }
        });
    }

    /// Takes what the start of an environment says of the function.
    fn init_start(&mut self, start: &InitStart<'_>) {
        let owned = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
        let region = start.runtime_version_arn.as_deref().and_then(|arn| arn.split(':').nth(3));
        if let Some(region) = region.filter(|region| self.assumed && is_region(region)) {
            self.of_batch.region = Some(region.to_owned());
            self.settle();
        }
        self.change(|origin| {
            if let Some(name) = owned(&start.function_name) {
                origin.function.get_or_insert_default().name = name;
            }
            let Some(function) = &mut origin.function else { return };
            function.version = owned(&start.function_version).or(function.version.take());
            function.runtime_version = owned(&start.runtime_version).or(function.runtime_version.take());
            function.memory_size_mb = start.instance_max_memory.map(megabytes).or(function.memory_size_mb);
        });
        if let Some(kind) = start.initialization_type.as_deref() {
            self.stated_type(kind);
        }
    }

    /// Takes how the environment was started, as a line says it.
    fn stated_type(&mut self, kind: &str) {
        self.stated = self.current.function.is_some();
        self.initialization_type(kind);
    }

    /// Takes how the environment was started, as it can be told from what a line has.
    fn inferred_type(&mut self, kind: &str) {
        if !self.stated {
            self.initialization_type(kind);
        }
    }

    fn initialization_type(&mut self, kind: &str) {
        let known =
            self.current.function.as_ref().is_none_or(|function| function.initialization_type.as_deref() == Some(kind));
        if !known {
            self.change(|origin| {
                if let Some(function) = &mut origin.function {
                    function.initialization_type = Some(kind.to_owned());
                }
            });
        }
    }

    /// Takes the function that an event of Lambda Insights is about: its log group is shared by all.
    pub(super) fn insights(&mut self, emf: &Emf<'_>) {
        if self.current.log_group != "/aws/lambda-insights" {
            return;
        }
        let dimension = |wanted: &str| {
            let mut all = emf.dimensions.iter();
            let found = all.find(|(key, value)| key == wanted && !value.is_empty());
            found.map(|(_, value)| value.to_string())
        };
        let (name, version) = (dimension("function_name"), dimension("version"));
        let known = self.current.function.as_ref().map(|function| (&function.name, &function.version));
        if let (Some(name), false) = (&name, known == name.as_ref().map(|name| (name, &version))) {
            let function = Function { name: name.clone(), version, ..Function::default() };
            self.change(|origin| origin.function = Some(function));
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Origin)) {
        change(&mut self.current);
        self.current.generation += 1;
    }
}

/// Bytes or, as the documentation's example has it, MB.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "memory is positive and small")]
fn megabytes(value: f64) -> u64 {
    let value = value as u64;
    if value >= 1 << 20 { value >> 20 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "22be53a8cfde4e68b844f8ec293b2543";

    fn origins(group: &str, stream: &str) -> Origins {
        let envelope = Envelope {
            owner: "123456789012".into(),
            log_group: group.into(),
            log_stream: stream.into(),
            ..Envelope::default()
        };
        let forwarder = Forwarder { region: Some("eu-west-1".into()), ..Forwarder::default() };
        Origins::new(&envelope, &forwarder, Vec::new())
    }

    #[test]
    fn names_the_function_by_stream_and_group() {
        for (group, stream, expected) in [
            ("/aws/lambda/MyFunc", "2026/11/20/[$LATEST]HEX", Some(("MyFunc", Some("$LATEST"), "eu-west-1"))),
            ("/aws/lambda/MyFunc", "anything", Some(("MyFunc", None, "eu-west-1"))),
            ("/custom/shared", "2026/11/20/stock-sync[12]HEX", Some(("stock-sync", Some("12"), "eu-west-1"))),
            ("/aws/lambda/other", "2026/11/20/stock-sync[12]HEX", Some(("stock-sync", Some("12"), "eu-west-1"))),
            ("/aws/lambda/us-east-1.edge-fn", "2026/11/20/[3]HEX", Some(("edge-fn", Some("3"), "us-east-1"))),
            ("/aws/lambda/web/site", "whatever", Some(("site", None, "eu-west-1"))),
            ("/aws/lambda/web/site.local", "whatever", Some(("site", None, "eu-west-1"))),
            ("/aws/lambda-insights", "my-fn", None),
            ("/aws/lambda/", "x", None),
            ("/custom/shared", "2026/11/20/stock-sync[12]tooshort", None),
            ("/aws/apigateway/x", "", None),
        ] {
            let origins = origins(group, &stream.replace("HEX", HEX));
            let found = origins.current();
            let shape = found
                .function
                .as_ref()
                .map(|f| (f.name.as_str(), f.version.as_deref(), found.region.as_deref().unwrap()));
            assert_eq!(shape, expected, "{group} {stream}");
        }
    }

    #[test]
    fn a_copied_stream_names_the_account_and_the_region_it_comes_from() {
        const SHOP: &str = "2026/11/20/shop[12]HEX";
        let here = ("123456789012", "eu-west-1");
        for (group, stream, end, function, place) in [
            ("/aws/lambda/web/site", "[3]HEX", "-111122223333-eu-north-1", Some(("site", None)), Some("eu-north-1")),
            (
                "/aws/lambda/web/site",
                "2026/11/20/[3]HEX",
                "-111122223333-us-gov-west-1",
                Some(("site", Some("3"))),
                Some("us-gov-west-1"),
            ),
            ("/custom/shared", SHOP, "-111122223333-eu-north-1", Some(("shop", Some("12"))), Some("eu-north-1")),
            ("/custom/shared", SHOP, "-11112222333-eu-north-1", None, None),
            ("/custom/shared", SHOP, "-111122223333-north", None, None),
            ("/aws/lambda/shop", "a-b", "-111122223333-eu-north-1", Some(("shop", None)), None),
        ] {
            let origins = origins(group, &format!("{stream}{end}").replace("HEX", HEX));
            let found = origins.current();
            let of = found.function.as_ref().map(|of| (of.name.as_str(), of.version.as_deref()));
            assert_eq!(of, function, "{group} {stream}{end}");
            let from = (found.account.as_deref().unwrap(), found.region.as_deref().unwrap());
            assert_eq!(from, place.map_or(here, |region| ("111122223333", region)), "{group} {stream}{end}");
        }
    }

    #[test]
    fn facts_that_arrive_later_hold_from_there_on() {
        let mut origins = origins("/custom/shared", "stream");
        assert_eq!(origins.current().function, None);
        let arn = "arn:aws-cn:lambda:cn-north-1:999999999999:function:Orders";
        origins.start(&Start { version: Some("7".into()), function_arn: Some(arn.into()), ..Start::default() });
        let origin = origins.current();
        assert_eq!(origin.function_arn().as_deref(), Some(arn));
        assert_eq!(origin.function.as_ref().unwrap().version.as_deref(), Some("7"));
        let generation = origin.generation;
        origins.start(&Start { version: Some("7".into()), function_arn: Some(arn.into()), ..Start::default() });
        assert_eq!(origins.current().generation, generation, "nothing new");
        let fields = r#"{"@aws.account":"111122223333","@aws.region":"eu-north-1","@source.log":"x"}"#;
        origins.extracted(Some(fields));
        assert_eq!(origins.current().account.as_deref(), Some("111122223333"));
        assert_eq!(origins.current().region.as_deref(), Some("eu-north-1"));
        origins.extracted(None);
        assert_eq!(origins.current().account.as_deref(), Some("999999999999"));
    }

    #[test]
    fn fields_of_the_event_go_before_the_arn_and_that_before_the_group() {
        let arn = "arn:aws:lambda:eu-central-1:825765399535:function:f";
        for (fields, account, region) in [
            (None, "825765399535", "eu-central-1"),
            (Some(r#"{"level":"INFO"}"#), "825765399535", "eu-central-1"),
            (Some(r#"{"@aws.region":"ap-south-1"}"#), "825765399535", "ap-south-1"),
            (Some(r#"{"@aws.account":"111122223333"}"#), "111122223333", "eu-central-1"),
            (Some(r#"{"@aws.account":"","@aws.region":7}"#), "825765399535", "eu-central-1"),
        ] {
            let mut origins = origins("/aws/lambda/checkout", "stream");
            for start in [false, true] {
                origins.extracted(fields);
                if !start {
                    origins.start(&Start { function_arn: Some(arn.into()), ..Start::default() });
                }
                let origin = origins.current();
                let found = (origin.account.as_deref(), origin.region.as_deref());
                assert_eq!(found, (Some(account), Some(region)), "{fields:?}");
            }
        }
    }

    #[test]
    fn a_runtime_tells_the_region_where_nothing_else_does() {
        let arn = "arn:aws:lambda:eu-central-1:825765399535:function:f";
        let start = Start { function_arn: Some(arn.into()), ..Start::default() };
        for (group, runtime, region, with_arn) in [
            ("/aws/lambda/shop", "arn:aws:lambda:ap-south-1::runtime:x", "ap-south-1", "eu-central-1"),
            ("/aws/lambda/shop", "arn:aws-us-gov:lambda:us-gov-west-1::runtime:x", "us-gov-west-1", "eu-central-1"),
            ("/aws/lambda/shop", "arn:aws:lambda:::runtime:x", "eu-west-1", "eu-central-1"),
            ("/aws/lambda/shop", "a:b:c:d:e", "eu-west-1", "eu-central-1"),
            ("/aws/lambda/us-east-1.shop", "arn:aws:lambda:ap-south-1::runtime:x", "us-east-1", "eu-central-1"),
        ] {
            let mut origins = origins(group, "stream");
            let init = InitStart { runtime_version_arn: Some(runtime.into()), ..InitStart::default() };
            origins.init_start(&init);
            assert_eq!(origins.current().region.as_deref(), Some(region), "{runtime}");
            origins.start(&start);
            origins.init_start(&init);
            assert_eq!(origins.current().region.as_deref(), Some(with_arn), "{runtime}");
            origins.extracted(Some(r#"{"@aws.region":"sa-east-1"}"#));
            origins.init_start(&init);
            assert_eq!(origins.current().region.as_deref(), Some("sa-east-1"), "{runtime}");
        }
    }

    #[test]
    fn a_type_that_is_stated_holds_against_what_is_inferred_once_there_is_a_function() {
        let mut origins = origins("/custom/shared", "stream");
        let kind = |origins: &Origins| origins.current().function.as_ref().unwrap().initialization_type.clone();
        origins.stated_type("provisioned-concurrency");
        let arn = "arn:aws:lambda:eu-central-1:825765399535:function:f";
        origins.start(&Start { function_arn: Some(arn.into()), ..Start::default() });
        origins.inferred_type("on-demand");
        assert_eq!(kind(&origins).as_deref(), Some("on-demand"));
        origins.stated_type("provisioned-concurrency");
        origins.inferred_type("on-demand");
        assert_eq!(kind(&origins).as_deref(), Some("provisioned-concurrency"));
    }

    #[test]
    fn nothing_changes_with_fields_that_say_neither_account_nor_region() {
        let mut origins = origins("/aws/lambda/checkout", "stream");
        for fields in [r#"{"level":"INFO"}"#, r#"{"level":"WARN"}"#] {
            origins.extracted(Some(fields));
        }
        assert_eq!(origins.current().generation, 0);
    }
}
