/// Where log events come from: what a whole batch shares.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Origin {
    /// Rises whenever any other field changes, so that an encoder can keep what
    /// it rendered for as long as this stays.
    pub generation: u32,
    /// Account that owns the log group: twelve digits.
    pub account: Option<String>,
    /// Region of the function, as `eu-west-1`.
    pub region: Option<String>,
    /// Name of the log group.
    pub log_group: String,
    /// Name of the log stream.
    pub log_stream: String,
    /// The Lambda function, when a function wrote these lines.
    pub function: Option<Function>,
    /// Tags that the owner of the forwarder adds to everything: keys and values.
    pub tags: Vec<(String, String)>,
}

/// A Lambda function as its logs name it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Function {
    /// Name, in its own case.
    pub name: String,
    /// `$LATEST` or a number.
    pub version: Option<String>,
    /// The execution environment: 32 hexadecimal digits, from the stream's name.
    pub instance: Option<String>,
    /// Whether it runs at the edge; its account and region are then those of its home.
    pub edge: bool,
    /// Partition of its ARN: `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: Option<String>,
    /// Memory it is configured with, in MB (2²⁰ bytes).
    pub memory_size_mb: Option<u64>,
    /// `on-demand`, `provisioned-concurrency`, `snap-start` or `lambda-managed-instances`.
    pub initialization_type: Option<String>,
    /// Version of the runtime, as `nodejs:22.mainline.v122`.
    pub runtime_version: Option<String>,
}

impl Origin {
    /// ARN of the function, when its account and region are known.
    pub fn function_arn(&self) -> Option<String> {
        let function = self.function.as_ref()?;
        let region = self.region.as_deref()?;
        let account = self.account.as_deref()?;
        let partition = self.partition()?;
        Some(format!("arn:{partition}:lambda:{region}:{account}:function:{}", function.name))
    }

    /// Partition of its ARNs, when its region is known: `aws`, `aws-cn`, `aws-us-gov`.
    pub fn partition(&self) -> Option<&str> {
        let region = self.region.as_deref()?;
        let named = self.function.as_ref().and_then(|function| function.partition.as_deref());
        Some(named.unwrap_or_else(|| partition_of(region)))
    }
}

/// The partition that a region belongs to, as the endpoints of AWS's SDKs have it.
fn partition_of(region: &str) -> &'static str {
    const PARTITIONS: [(&str, &str); 7] = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("eusc-", "aws-eusc"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("us-isof-", "aws-iso-f"),
        ("eu-isoe-", "aws-iso-e"),
    ];
    PARTITIONS.iter().find(|(start, _)| region.starts_with(start)).map_or("aws", |(_, partition)| partition)
}

/// What is known of the forwarder itself, from its invocation.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Forwarder {
    /// Its own ARN, without a version.
    pub function_arn: Option<String>,
    /// Its own name.
    pub function_name: Option<String>,
    /// Region it runs in; a subscription never crosses regions.
    pub region: Option<String>,
    /// Its own log group, which it never forwards.
    pub log_group: Option<String>,
    /// What tells this process from other copies that run at the same time or
    /// have run before: in Lambda the name of its own log stream.
    pub instance: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arn_is_in_the_partition_of_its_region() {
        for (region, partition) in [
            ("eu-west-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("eusc-de-east-1", "aws-eusc"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
        ] {
            let origin = Origin {
                account: Some("123456789012".into()),
                region: Some(region.into()),
                function: Some(Function { name: "MyFunc".into(), ..Function::default() }),
                ..Origin::default()
            };
            assert_eq!(
                origin.function_arn(),
                Some(format!("arn:{partition}:lambda:{region}:123456789012:function:MyFunc"))
            );
        }
    }
}
