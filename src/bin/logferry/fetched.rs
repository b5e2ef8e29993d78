//! Log events as CloudWatch Logs gives them out: by the AWS CLI and the SDKs as JSON, by its console as JSON or CSV.
//!
//! ```text
//! {"events":[{"timestamp":1795165334310,"message":"…","logStreamName":"…","eventId":"…"}]}   filter-log-events, get-log-events
//! [{"timestamp":1795165334310,"message":"…"}]                                                the same with --query events
//! {"results":[[{"field":"@timestamp","value":"2026-11-20 09:02:14.310"},…]]}                 get-query-results
//! [{"@timestamp":"2026-11-20 09:02:14.310","@message":"…"}]                                  Logs Insights, exported as JSON
//! @timestamp,@message,@logStream,@log                                                        Logs Insights, exported as CSV
//! timestamp,message                                                                          a log stream, exported as CSV
//! ```
//!
//! Source: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilteredLogEvent.html>,
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetQueryResults.html>; the console's files
//! are not documented, so what of them can't be read is told and the rest replayed.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::input::Contents;
use crate::lines::stamp;
use crate::streams::{Event, Place, Streams};
use crate::style::count;

/// A log event that was fetched.
struct Fetched {
    place: Place,
    id: Option<String>,
    time: i64,
    message: String,
}

/// What the AWS CLI prints of a query's results.
#[derive(Deserialize)]
struct Field {
    field: String,
    #[serde(default)]
    value: String,
}

impl Fetched {
    /// Reads its fields, under the names that the API or those that a query gives them; `None` without a time or a message.
    fn read(field: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let either = |plain, queried| field(plain).or_else(|| field(queried));
        let log = field("@log").unwrap_or_default();
        let (owner, log_group) = log.split_once(':').unwrap_or(("", &log));
        let log_stream = either("logStreamName", "@logStream").unwrap_or_default();
        Some(Self {
            place: Place { owner: owner.to_owned(), log_group: log_group.to_owned(), log_stream },
            id: field("eventId").filter(|id| !id.is_empty()),
            time: time(&either("timestamp", "@timestamp")?)?,
            message: either("message", "@message")?,
        })
    }
}

/// Milliseconds, or a time as a query writes it: `2026-11-20 09:02:14.310`.
fn time(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| stamp(&text.replacen(' ', "T", 1)))
}

/// Batches of what was fetched; `None` for anything else.
pub(crate) fn contents(bytes: &[u8], name: &str) -> Option<Contents> {
    let text = String::from_utf8_lossy(bytes);
    of_json(&text, name).or_else(|| of_csv(&text, name))
}

/// Under which keys rows are.
const LISTS: [&str; 2] = ["\"events\"", "\"results\""];

/// One document, or one behind the other, as pages are put into one file.
fn of_json(text: &str, name: &str) -> Option<Contents> {
    if !text.trim_start().starts_with(['[', '{']) {
        return None;
    }
    let mut documents = serde_json::Deserializer::from_str(text).into_iter();
    let (mut all, mut damage, mut read_to) = (Vec::new(), None, 0);
    while let Some(document) = documents.next() {
        match document {
            Ok(document) => all.extend(rows(document)?),
            Err(error) => {
                let rest = text.get(read_to..).unwrap_or_default();
                if all.is_empty() && !is_begun(rest) {
                    return None;
                }
                all.extend(begun(rest));
                damage = Some(error);
            }
        }
        read_to = documents.byte_offset();
    }
    let read = all.iter().map(|row| Fetched::read(|name| row.get(name).map(as_text)));
    let mut contents = replayed(read.collect(), all.iter().any(|row| is_queried(row.keys())), name);
    if let Some(error) = damage {
        contents.complaint = Some(format!("is damaged: {error}; what stands before that is replayed"));
    }
    Some(contents)
}

/// Whether a document that can't be read begins as one that was fetched.
fn is_begun(text: &str) -> bool {
    let head: String = text.chars().filter(|c| !c.is_whitespace()).take(200).collect();
    let is_list = ["[{\"timestamp\":", "[{\"@timestamp\":", "[{\"logStreamName\":"];
    is_list.iter().any(|start| head.starts_with(start))
        || (head.starts_with('{') && LISTS.iter().any(|list| head.contains(&format!("{list}:["))))
}

/// The whole rows of a document that breaks off.
fn begun(text: &str) -> Vec<Map<String, Value>> {
    let from = LISTS.iter().find_map(|list| text.find(list)).filter(|_| text.trim_start().starts_with('{'));
    let list = text.get(from.unwrap_or_default()..).unwrap_or_default();
    let (mut rows, mut rest) = (Vec::new(), list.split_once('[').map_or("", |(_, rest)| rest));
    loop {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter();
        let Some(Ok(value)) = values.next() else { return rows };
        rows.extend(object(value));
        rest = rest.get(values.byte_offset()..).unwrap_or_default().trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

/// The rows of a document; `None` of anything else.
fn rows(document: Value) -> Option<Vec<Map<String, Value>>> {
    let rows = match document {
        Value::Array(rows) => rows,
        // A log event by itself, which has what no application gives a line.
        Value::Object(object) if is_row(&object) && object.contains_key("ingestionTime") => {
            vec![Value::Object(object)]
        }
        Value::Object(mut object) => match (object.remove("events"), object.remove("results")) {
            (Some(Value::Array(events)), _) => events,
            (_, Some(Value::Array(results))) if results.iter().all(|row| fields(row).is_some()) => results,
            _ => return None,
        },
        _ => return None,
    };
    let rows: Vec<_> = rows.into_iter().map(object).collect::<Option<_>>()?;
    (rows.is_empty() || rows.iter().any(|row| is_row(row) || is_queried(row.keys()))).then_some(rows)
}

fn is_row(object: &Map<String, Value>) -> bool {
    object.contains_key("timestamp") && object.contains_key("message")
}

/// The fields of a row of a query's results.
fn fields(row: &Value) -> Option<Vec<Field>> {
    Vec::deserialize(row).ok()
}

/// A row as an object, whichever way it is written.
fn object(row: Value) -> Option<Map<String, Value>> {
    match row {
        Value::Object(object) => Some(object),
        row => Some(fields(&row)?.into_iter().map(|Field { field, value }| (field, Value::String(value))).collect()),
    }
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn of_csv(text: &str, name: &str) -> Option<Contents> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let columns: Vec<_> = reader.headers().ok()?.iter().map(str::to_owned).collect();
    let has = |name: &str| columns.iter().any(|column| column == name);
    if !(has("timestamp") && has("message") || is_queried(columns.iter())) {
        return None;
    }
    let read = reader.records().map(|row| {
        let row = row.ok()?;
        Fetched::read(|name| {
            let place = columns.iter().position(|column| column == name)?;
            row.get(place).map(str::to_owned)
        })
    });
    let mut contents = replayed(read.collect(), is_queried(columns.iter()), name);
    if text.matches('"').count() % 2 == 1 {
        contents.complaint = Some("breaks off inside of quotes: its last row isn't whole".to_owned());
    }
    Some(contents)
}

/// Whether fields are those of a query's results.
fn is_queried<'n>(mut names: impl Iterator<Item = &'n String>) -> bool {
    names.any(|name| matches!(name.as_str(), "@timestamp" | "@message" | "@ptr"))
}

/// Batches of the rows that are log events, oldest first, and how many aren't. A query gives out the newest first.
fn replayed(rows: Vec<Option<Fetched>>, is_queried: bool, name: &str) -> Contents {
    let of = rows.len();
    let mut events: Vec<_> = rows.into_iter().flatten().collect();
    let unread = of - events.len();
    // Otherwise events of one millisecond keep their order.
    if is_queried && events.is_sorted_by_key(|event| std::cmp::Reverse(event.time)) {
        events.reverse();
    }
    events.sort_by_key(|event| event.time);
    let mut streams = Streams::default();
    for Fetched { place, id, time, message } in events {
        streams.push(&place, Event { id: id.unwrap_or_default(), time, message });
    }
    let complaint = (unread > 0).then(|| {
        format!(
            "{unread} of {} can't be replayed, as they have no time or no message: a query needs `fields @timestamp, @message, @logStream, @log`",
            count(of as u64, "row")
        )
    });
    Contents { all: streams.batches(name), complaint }
}
