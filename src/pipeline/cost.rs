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
