use crate::env::{Env, Row, Setting};
use crate::model::Tag;
use crate::parse::Report;

/// Dollars for one request, everywhere.
const REQUEST: f64 = 0.000_000_2;

/// Dollars for a GB-second in us-east-1, first tier. GB are of 2³⁰ bytes.
const X86_64: f64 = 0.000_016_666_7;
const ARM64: f64 = 0.000_013_333_4;

/// What invocations cost: list price of the first tier unless settings say otherwise.
///
/// A log line knows neither the architecture nor how much the account has used
/// before: both are assumed, and the assumption is told in tags. Storage beyond
/// 512 MB, provisioned concurrency and the free tier are left out.
///
/// Source: <https://aws.amazon.com/lambda/pricing/>
#[derive(Clone, Debug, Default)]
pub struct Prices {
    /// Architecture of all functions that `exceptions` don't name.
    pub architecture: Architecture,
    /// Functions of another architecture.
    pub exceptions: Vec<(String, Architecture)>,
    /// Dollars for a GB-second, instead of the list price.
    pub gb_second: Option<f64>,
    /// Dollars for a request, instead of the list price.
    pub request: Option<f64>,
}

/// What a function runs on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Architecture {
    /// Graviton.
    Arm64,
    /// Intel or AMD.
    #[default]
    X86_64,
}

impl Prices {
    const ARCHITECTURE: Setting<Architectures> = Setting::new(
        "LOGFERRY_PRICE_ARCHITECTURE",
        architectures,
        "Architecture that costs are estimated for, x86_64 or arm64, and exceptions by function, as `x86_64,checkout:arm64`.",
    )
    .default("x86_64");
    const GB_SECOND: Setting<f64> = Setting::new(
        "LOGFERRY_PRICE_GB_SECOND",
        price,
        "US dollars for a GB-second; the list price of the first tier in us-east-1 when empty.",
    );
    const REQUEST: Setting<f64> =
        Setting::new("LOGFERRY_PRICE_REQUEST", price, "US dollars for a request; the list price when empty.");

    /// The settings, for documents.
    pub const ROWS: [Row; 3] = [Self::ARCHITECTURE.row(), Self::GB_SECOND.row(), Self::REQUEST.row()];

    /// Reads the settings; `None` after a mistake, which stays with `env`.
    pub(super) fn from_env(env: &mut Env<'_>) -> Option<Self> {
        let architectures = env.read(&Self::ARCHITECTURE);
        let (gb_second, request) = (env.read(&Self::GB_SECOND), env.read(&Self::REQUEST));
        let (architecture, exceptions) = architectures?;
        Some(Self { architecture, exceptions, gb_second, request })
    }

    /// Dollars that an invocation costs; none without a billed duration.
    pub(super) fn cost(&self, function: &str, report: &Report<'_>) -> Option<f64> {
        let gb = report.metrics.memory_size_mb? / 1024.0;
        let seconds = report.metrics.billed_duration_ms? / 1000.0;
        let gb_second = self.gb_second.unwrap_or(match self.architecture_of(function) {
            Architecture::Arm64 => ARM64,
            Architecture::X86_64 => X86_64,
        });
        let cost = self.request.unwrap_or(REQUEST) + gb * seconds * gb_second;
        // To the picodollar, as Datadog's extension rounds.
        Some((cost * 1e12).round() / 1e12)
    }

    /// What the price rests on.
    pub(super) fn tags(&self, function: &str) -> [Tag<'static>; 2] {
        let listed = self.gb_second.is_none() && self.request.is_none();
        [
            Tag { key: "architecture", value: self.architecture_of(function).as_str() },
            Tag { key: "price_basis", value: if listed { "list_tier_1" } else { "settings" } },
        ]
    }

    fn architecture_of(&self, function: &str) -> Architecture {
        let named = self.exceptions.iter().find(|(name, _)| name == function);
        named.map_or(self.architecture, |(_, architecture)| *architecture)
    }
}

impl Architecture {
    /// Reads Lambda's name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Arm64, Self::X86_64].into_iter().find(|architecture| architecture.as_str() == name)
    }

    /// Lambda's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86_64 => "x86_64",
        }
    }
}

/// The architecture of most functions, and those of others.
type Architectures = (Architecture, Vec<(String, Architecture)>);

fn architectures(value: &str) -> Result<Architectures, String> {
    let mut all = Architecture::default();
    let mut exceptions = Vec::new();
    for item in value.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let (function, name) = item.split_once(':').map_or((None, item), |(function, name)| (Some(function), name));
        let architecture = Architecture::parse(name).ok_or_else(|| {
            format!("names `{name}`, which is no architecture: expected `x86_64` or `arm64`, and exceptions as `checkout:arm64`")
        })?;
        match function {
            None => all = architecture,
            Some(function) => exceptions.push((function.to_owned(), architecture)),
        }
    }
    Ok((all, exceptions))
}

fn price(value: &str) -> Result<f64, String> {
    let price: Option<f64> = value.parse().ok().filter(|price| (0.0..1.0).contains(price));
    price.ok_or_else(|| "is not a price: expected US dollars, as `0.0000166667`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::Metrics;

    fn reported(metrics: Metrics) -> Report<'static> {
        Report { metrics, ..Report::default() }
    }

    #[test]
    fn costs_what_the_price_list_says() {
        let report =
            reported(Metrics { billed_duration_ms: Some(351.0), memory_size_mb: Some(1024.0), ..Metrics::default() });
        let exceptions = vec![("graviton".to_owned(), Architecture::Arm64)];
        let prices = Prices { exceptions, ..Prices::default() };
        assert_eq!(prices.cost("f", &report), Some(0.000_006_050_012));
        assert_eq!(prices.cost("graviton", &report), Some(0.000_004_880_023));
        let own = Prices { gb_second: Some(0.000_01), request: Some(0.0), ..Prices::default() };
        assert_eq!(own.cost("f", &report), Some(0.000_003_51));
        assert_eq!(own.tags("f")[1].value, "settings");
        let managed = reported(Metrics { duration_ms: Some(5.0), ..Metrics::default() });
        assert_eq!(prices.cost("f", &managed), None);
    }
}
