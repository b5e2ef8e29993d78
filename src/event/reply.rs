use serde::Serialize;

/// What the source of an event is answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Reply {
    /// Nothing: who invoked us looks at nothing but whether we fail.
    #[default]
    Nothing,
    /// The records to deliver again, by sequence number (Kinesis) or id (SQS); the others are done.
    ///
    /// Source: <https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html>
    Failed(Vec<String>),
    /// What a redrive came to, for whoever asked for it by hand.
    Redriven(serde_json::Value),
    /// Every record of Firehose: its id, what became of it, and what is to be delivered.
    ///
    /// Source: <https://docs.aws.amazon.com/firehose/latest/dev/data-transformation.html>
    Transformed(Vec<Transformed>),
}

/// What became of a record of Firehose.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Transformed {
    /// Its id.
    #[serde(rename = "recordId")]
    pub id: String,
    /// What became of it.
    pub result: TransformResult,
    /// What Firehose delivers: the data as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

/// What becomes of a record of Firehose.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum TransformResult {
    /// Firehose doesn't deliver it.
    Dropped,
    /// Firehose delivers it.
    Ok,
    /// Firehose puts it where its errors go.
    ProcessingFailed,
}

/// So much may an answer take, with room to spare below Lambda's 6 MB.
const MAX_ANSWER: usize = 5_900_000;

impl Reply {
    /// As Lambda hands it on: JSON.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Nothing => serde_json::Value::Null,
            Self::Failed(ids) => {
                let items: Vec<_> = ids.iter().map(|id| serde_json::json!({ "itemIdentifier": id })).collect();
                serde_json::json!({ "batchItemFailures": items })
            }
            Self::Redriven(what) => what.clone(),
            Self::Transformed(records) => serde_json::json!({ "records": records }),
        }
    }

    /// An answer to Firehose within the size that Lambda allows: data that doesn't fit is not
    /// handed on, and such a record goes where Firehose keeps its errors, whole.
    pub fn transformed(records: Vec<Transformed>) -> Self {
        let mut size = 0;
        let fitted = records.into_iter().map(|mut record| {
            size += record.id.len() + 64 + record.data.as_ref().map_or(0, String::len);
            if size > MAX_ANSWER
                && let Some(data) = record.data.take()
            {
                size -= data.len();
                record.result = TransformResult::ProcessingFailed;
            }
            record
        });
        Self::Transformed(fitted.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_as_each_source_expects() {
        assert_eq!(Reply::Nothing.to_json().to_string(), "null");
        assert_eq!(
            Reply::Failed(vec!["7".to_owned()]).to_json().to_string(),
            r#"{"batchItemFailures":[{"itemIdentifier":"7"}]}"#
        );
        let record = |result, data: Option<&str>| Transformed { id: "r".into(), result, data: data.map(str::to_owned) };
        let reply =
            Reply::transformed(vec![record(TransformResult::Ok, Some("eA==")), record(TransformResult::Dropped, None)]);
        assert_eq!(
            reply.to_json().to_string(),
            r#"{"records":[{"data":"eA==","recordId":"r","result":"Ok"},{"recordId":"r","result":"Dropped"}]}"#
        );
    }

    #[test]
    fn an_answer_is_never_too_large_and_answers_every_record() {
        let record = |id: usize| Transformed {
            id: id.to_string(),
            result: TransformResult::Ok,
            data: Some("x".repeat(900_000)),
        };
        let reply = Reply::transformed((0..8).map(record).collect());
        assert!(reply.to_json().to_string().len() < 6_000_000);
        let Reply::Transformed(records) = reply else { panic!("another answer") };
        let results: Vec<_> = records.iter().map(|record| record.result).collect();
        assert_eq!(results, [[TransformResult::Ok; 6].as_slice(), &[TransformResult::ProcessingFailed; 2]].concat());
    }
}
