//! What the names of log groups, log streams and functions say.

use crate::model::{Function, has_form};

/// How the log groups of Lambda Web Functions begin.
pub(super) const WEB: &str = "/aws/lambda/web/";

/// The ARN of a function.
pub(super) struct FunctionArn<'a> {
    pub(super) partition: &'a str,
    pub(super) region: &'a str,
    pub(super) account: &'a str,
    pub(super) name: &'a str,
}

impl<'a> FunctionArn<'a> {
    /// `arn:aws:lambda:eu-west-1:123456789012:function:checkout`, perhaps with a version.
    pub(super) fn parse(arn: &'a str) -> Option<Self> {
        let mut parts = arn.split(':');
        let mut part = || parts.next().filter(|part| !part.is_empty());
        let (arn, partition, service) = (part()?, part()?, part()?);
        let (region, account, kind, name) = (part()?, part()?, part()?, part()?);
        let right = arn == "arn" && service == "lambda" && kind == "function";
        right.then_some(Self { partition, region, account, name })
    }
}

/// The function that a group and a stream name, if they are a function's at all.
pub(super) fn function(group: &str, stream: &str) -> Option<Function> {
    let stream = Stream::parse(stream);
    let web = group.strip_prefix(WEB).map(|name| name.strip_suffix(".local").unwrap_or(name));
    let edge = edge(group);
    let by_group = web.or(edge.map(|(_, name)| name)).or_else(|| group.strip_prefix("/aws/lambda/"));
    let by_stream = stream.as_ref().map(|stream| stream.function).filter(|name| !name.is_empty());
    let name = by_stream.or(by_group).filter(|name| !name.is_empty())?;
    Some(Function {
        name: name.to_owned(),
        version: stream.as_ref().map(|stream| stream.version.to_owned()),
        instance: stream.as_ref().map(|stream| stream.instance.to_owned()),
        edge: edge.is_some(),
        ..Function::default()
    })
}

/// Home region and name of a function at the edge, whose groups are `/aws/lambda/us-east-1.name` in every region.
pub(super) fn edge(group: &str) -> Option<(&str, &str)> {
    let (region, name) = group.strip_prefix("/aws/lambda/")?.split_once('.')?;
    (is_region(region) && !name.is_empty()).then_some((region, name))
}

/// Whether it has the form of `eu-west-1`.
pub(super) fn is_region(text: &str) -> bool {
    text.split('-').count() >= 3
        && text.ends_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// A stream that was copied from another account or region, as those of Web Functions are to
/// their home region: its name ends in both, `…[$LATEST]22be53a8…-123456789012-eu-west-1`.
#[derive(Clone, Copy)]
pub(super) struct Centralized<'a> {
    pub(super) stream: &'a str,
    pub(super) account: &'a str,
    pub(super) region: &'a str,
}

pub(super) fn centralized<'a>(group: &str, name: &'a str) -> Option<Centralized<'a>> {
    let found = name.match_indices('-').find_map(|(at, _)| {
        let (stream, rest) = name.split_at_checked(at)?;
        let (account, region) = rest.strip_prefix('-')?.split_at_checked(12)?;
        let region = region.strip_prefix('-').filter(|region| is_region(region))?;
        account.bytes().all(|b| b.is_ascii_digit()).then_some(Centralized { stream, account, region })
    });
    found.filter(|found| group.starts_with(WEB) || Stream::parse(found.stream).is_some())
}

/// `2026/11/20/[$LATEST]22be53a8…`, or with the function's name before the bracket in groups that functions share.
struct Stream<'a> {
    function: &'a str,
    version: &'a str,
    instance: &'a str,
}

impl<'a> Stream<'a> {
    fn parse(stream: &'a str) -> Option<Self> {
        const DATE: &[u8; 11] = b"0000/00/00/";
        let (date, rest) = stream.split_at_checked(DATE.len())?;
        let dated = has_form(date.as_bytes(), DATE);
        let (function, rest) = rest.split_once('[')?;
        let (version, instance) = rest.split_once(']')?;
        let named = function.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)) && function.len() <= 140;
        let hex = instance.len() == 32 && instance.bytes().all(|b| b.is_ascii_hexdigit());
        (dated && named && hex && !version.is_empty()).then_some(Self { function, version, instance })
    }
}
