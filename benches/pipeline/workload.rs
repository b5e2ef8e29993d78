//! What the pipelines read: deliveries of a busy function, made from a seed.

use std::fmt::Write as _;
use std::io::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use logferry::json::write_escaped;
use logferry::model::Timestamp;

/// Where the lines come from.
pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const REGION: &str = "eu-west-1";
pub(crate) const FUNCTION: &str = "checkout";
pub(crate) const LOG_GROUP: &str = "/aws/lambda/checkout";
pub(crate) const LOG_STREAM: &str = "2026/11/20/[$LATEST]22be53a8cfde4e68b844f8ec293b2543";

/// When the first event was written.
const FROM: i64 = 1_795_165_200_000;

/// What a log event has beside its message.
const AROUND: usize = 128;

/// One invocation of the forwarder.
pub(crate) struct Delivery {
    /// `{"awslogs":{"data":"…"}}`
    pub(crate) event: String,
    /// Log events in it.
    pub(crate) events: usize,
    /// Bytes of the document inside.
    pub(crate) inflated: usize,
}

impl Delivery {
    /// Invocation after invocation: `START`, eight lines of the application, `END`, `REPORT`.
    pub(crate) fn usual(events: usize) -> Self {
        let mut lines = Lines::new();
        let mut document = Document::new();
        while document.events < events {
            for line in lines.invocation() {
                if document.events < events {
                    document.push(lines.later(), &line);
                }
            }
        }
        document.delivery()
    }

    /// The same few words again and again.
    pub(crate) fn repetitive(events: usize) -> Self {
        let mut lines = Lines::new();
        let mut document = Document::new();
        for number in 0..events {
            let (queue, millis) = (number % 10, if number.is_multiple_of(2) { lines.later() } else { lines.millis });
            document.push(millis, &format!("INFO polled queue {queue}, found nothing and no error: the next look is in a second, and so on until somebody has an order for us\n"));
        }
        document.delivery()
    }

    /// Log events of `bytes`, of one letter: inflates a thousandfold.
    pub(crate) fn bomb(events: usize, bytes: usize) -> Self {
        let mut document = Document::new();
        let message = "A".repeat(bytes - AROUND);
        for _ in 0..events {
            document.push(FROM, &message);
        }
        document.delivery()
    }

    /// The base64 in the event.
    pub(crate) fn data(&self) -> &str {
        let data = self.event.split('"').nth(5);
        data.unwrap()
    }
}

/// The document of a delivery in the making.
struct Document {
    json: Vec<u8>,
    ids: Ids,
    events: usize,
}

impl Document {
    fn new() -> Self {
        let head = format!(
            r#"{{"messageType":"DATA_MESSAGE","owner":"{ACCOUNT}","logGroup":"{LOG_GROUP}","logStream":"{LOG_STREAM}","subscriptionFilters":["logferry"],"logEvents":["#
        );
        Self { json: head.into_bytes(), ids: Ids { base: 0x243f_6a88_85a3_08d3_1319_8a2e_0370_7344 }, events: 0 }
    }

    fn push(&mut self, millis: i64, message: &str) {
        if self.events > 0 {
            self.json.push(b',');
        }
        let id = self.ids.next(millis);
        write!(self.json, r#"{{"id":"{id}","timestamp":{millis},"message":""#).unwrap();
        write_escaped(message, &mut self.json);
        self.json.extend_from_slice(b"\"}");
        self.events += 1;
    }

    fn delivery(mut self) -> Delivery {
        self.json.extend_from_slice(b"]}");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        gzip.write_all(&self.json).unwrap();
        let data = STANDARD.encode(gzip.finish().unwrap());
        Delivery {
            event: format!(r#"{{"awslogs":{{"data":"{data}"}}}}"#),
            events: self.events,
            inflated: self.json.len(),
        }
    }
}

/// Ids as CloudWatch Logs makes them: 144 bits below the time of the event, which rise by one.
struct Ids {
    base: u128,
}

impl Ids {
    /// Fifty-six digits.
    fn next(&mut self, millis: i64) -> String {
        const GROUP: u64 = 1_000_000_000;

        self.base += 1;
        let time = u64::try_from(millis).unwrap().to_be_bytes();
        let mut groups = [0_u64; 7];
        // From the top: the time, sixteen zeros, the base.
        for byte in time.into_iter().chain([0, 0]).chain(self.base.to_be_bytes()) {
            let mut carry = u64::from(byte);
            for group in &mut groups {
                carry += *group << 8;
                *group = carry % GROUP;
                carry /= GROUP;
            }
        }
        let mut digits = String::new();
        for group in groups.iter().rev() {
            write!(digits, "{group:09}").unwrap();
        }
        digits.trim_start_matches('0').to_owned()
    }
}

/// The lines of one environment, invocation after invocation.
pub(crate) struct Lines {
    random: Random,
    words: Vec<String>,
    millis: i64,
    request_id: String,
    invocations: u32,
}

impl Lines {
    pub(crate) fn new() -> Self {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let words = (0..1000).map(|rank| random.words(rank)).collect();
        let mut lines = Self { random, words, millis: FROM, request_id: String::new(), invocations: 0 };
        lines.invoked();
        lines
    }

    /// Time of the next event: often the same millisecond.
    pub(crate) fn later(&mut self) -> i64 {
        if self.random.below(2) == 0 {
            self.millis += i64::try_from(self.random.below(12)).unwrap();
        }
        self.millis
    }

    /// Another request.
    pub(crate) fn invoked(&mut self) {
        let (high, low) = (self.random.next(), self.random.next());
        self.request_id = format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 48 & 0x3fff | 0x8000,
            low & 0xffff_ffff_ffff
        );
        self.invocations += 1;
    }

    /// All lines of the next invocation: about half of the application's are JSON.
    pub(crate) fn invocation(&mut self) -> [String; 11] {
        self.invoked();
        let metric = if self.invocations.is_multiple_of(2) { self.monitoring() } else { self.monitoring_in_json() };
        [
            self.start(),
            self.node(),
            self.json(),
            self.plain(),
            self.json(),
            self.node(),
            metric,
            self.json(),
            self.plain(),
            self.end(),
            self.report(),
        ]
    }

    pub(crate) fn start(&self) -> String {
        format!("START RequestId: {} Version: $LATEST\n", self.request_id)
    }

    pub(crate) fn end(&self) -> String {
        format!("END RequestId: {}\n", self.request_id)
    }

    pub(crate) fn report(&mut self) -> String {
        let (duration, billed) = self.duration();
        let used = 120 + self.random.below(60);
        let cold = if self.invocations % 100 == 2 { "Init Duration: 231.77 ms\t" } else { "" };
        format!(
            "REPORT RequestId: {}\tDuration: {duration} ms\tBilled Duration: {billed} ms\tMemory Size: 512 MB\tMax Memory Used: {used} MB\t{cold}\n",
            self.request_id
        )
    }

    pub(crate) fn platform_report(&mut self) -> String {
        let (duration, billed) = self.duration();
        format!(
            r#"{{"time":"{}","type":"platform.report","record":{{"requestId":"{}","metrics":{{"durationMs":{duration},"billedDurationMs":{billed},"memorySizeMB":512,"maxMemoryUsedMB":142}},"status":"success"}}}}"#,
            self.stamp(),
            self.request_id
        )
    }

    pub(crate) fn node(&mut self) -> String {
        let text = self.text(130);
        format!("{}\t{}\tINFO\t{text}\n", self.stamp(), self.request_id)
    }

    pub(crate) fn plain(&mut self) -> String {
        let text = self.text(200);
        format!("{text}\n")
    }

    pub(crate) fn json(&mut self) -> String {
        let text = self.text(90);
        let (order, cents) = (self.random.below(1_000_000), self.random.below(10_000));
        format!(
            r#"{{"timestamp":"{}","level":"INFO","requestId":"{}","message":"{text}","order":{order},"total":{}.{:02}}}"#,
            self.stamp(),
            self.request_id,
            cents / 100,
            cents % 100
        )
    }

    pub(crate) fn emf(&mut self) -> String {
        let latency = self.random.below(1000);
        format!(
            r#"{{"_aws":{{"Timestamp":{},"CloudWatchMetrics":[{{"Namespace":"Shop","Dimensions":[["service"]],"Metrics":[{{"Name":"Latency","Unit":"Milliseconds"}}]}}]}},"service":"checkout","Latency":{latency}}}"#,
            self.millis
        )
    }

    pub(crate) fn monitoring(&mut self) -> String {
        format!("{}\n", self.metric())
    }

    pub(crate) fn monitoring_behind_prefix(&mut self) -> String {
        let metric = self.metric();
        format!("{}\t{}\tINFO\t{metric}\n", self.stamp(), self.request_id)
    }

    pub(crate) fn monitoring_in_json(&mut self) -> String {
        let metric = self.metric();
        format!(
            r#"{{"timestamp":"{}","level":"INFO","requestId":"{}","message":"{metric}"}}"#,
            self.stamp(),
            self.request_id
        )
    }

    fn metric(&mut self) -> String {
        const SHOPS: [&str; 4] = ["berlin", "lisbon", "oslo", "turin"];
        let second = self.millis / 1000;
        let shop = SHOPS[self.random.below(SHOPS.len())];
        if self.random.below(2) == 0 {
            format!(
                "MONITORING|{second}|{}|count|shop.orders.placed|#shop:{shop},channel:web",
                1 + self.random.below(5)
            )
        } else {
            let (whole, tenth) = (self.random.below(200), self.random.below(10));
            format!("MONITORING|{second}|{whole}.{tenth}|histogram|shop.basket.value|#shop:{shop},channel:web")
        }
    }

    /// Milliseconds, and what is billed.
    fn duration(&mut self) -> (String, usize) {
        let hundredths = 300 + self.random.below(20_000);
        (format!("{}.{:02}", hundredths / 100, hundredths % 100), hundredths.div_ceil(100))
    }

    fn stamp(&self) -> Timestamp {
        Timestamp::from_millis(self.millis)
    }

    /// Words as a language has them, some `len` bytes, a number now and then.
    fn text(&mut self, len: usize) -> String {
        let len = len * (60 + self.random.below(80)) / 100;
        let mut text = String::new();
        while text.len() < len {
            if !text.is_empty() {
                text.push(' ');
            }
            if self.random.below(40) == 0 {
                write!(text, "{}", self.random.below(100_000)).unwrap();
            } else {
                text.push_str(&self.words[self.random.zipf(self.words.len())]);
            }
        }
        text
    }
}

/// Steele, Lea & Flood, "Fast Splittable Pseudorandom Number Generators", 2014: `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// A rank below `end`: low ones are far more likely.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "below 2^32"
    )]
    fn zipf(&mut self, end: usize) -> usize {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        (end as f64 + 1.0).powf(unit.powf(1.4)) as usize - 1
    }

    /// A word or, as log lines repeat themselves, up to four.
    fn words(&mut self, rank: usize) -> String {
        let words: Vec<_> = (0..=self.below(4)).map(|_| self.word(rank)).collect();
        words.join(" ")
    }

    /// A word that can be spoken; frequent ones are short.
    fn word(&mut self, rank: usize) -> String {
        const CONSONANTS: &[u8] = b"bcdfghklmnprstvw";
        const VOWELS: &[u8] = b"aeiou";
        let syllables = 1 + usize::from(rank > 20) + usize::from(rank > 300) + self.below(2);
        let mut word = String::new();
        for _ in 0..syllables {
            word.push(char::from(CONSONANTS[self.below(CONSONANTS.len())]));
            word.push(char::from(VOWELS[self.below(VOWELS.len())]));
        }
        if self.below(2) == 0 {
            word.push(char::from(CONSONANTS[self.below(CONSONANTS.len())]));
        }
        word
    }
}
