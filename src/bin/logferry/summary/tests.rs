use super::*;
use crate::pretty::tests::{PLAIN, play, report};

fn summary(group: &str, reports: &[&str]) -> Summary {
    let mut summary = Summary::default();
    add(&mut summary, group, reports);
    summary
}

fn add(summary: &mut Summary, group: &str, reports: &[&str]) {
    let reports: Vec<_> = reports.iter().map(|rest| report('a', rest)).collect();
    let lines: Vec<_> = (0..).zip(&reports).map(|(millis, line)| (millis, line.as_str())).collect();
    play(summary, group, &lines);
}

const WARM: &str = "Duration: 100.00 ms, Billed Duration: 100 ms, Memory Size: 512 MB, Max Memory Used: 100 MB";
const COLD: &str = "Duration: 200.00 ms, Billed Duration: 600 ms, Memory Size: 512 MB, Max Memory Used: 104 MB, Init Duration: 400.00 ms";
const LATE: &str =
    "Duration: 3000.00 ms, Billed Duration: 3000 ms, Memory Size: 128 MB, Max Memory Used: 60 MB, Status: timeout";

#[test]
fn compares_functions_and_advises() {
    let mut summary = summary("/aws/lambda/checkout", &[COLD, WARM, WARM, COLD, WARM]);
    add(&mut summary, "/aws/lambda/returns-label", &[LATE]);
    let expected = "\
Invocations
function       invoked  errors  timeouts  cold starts
checkout             5       0         0            2 40% ████████▊
returns-label        1       1         1            0  0%

Durations in ms, percentiles by nearest rank
function           p50      p95      p99      max  spread
checkout        100.00   200.00   200.00   200.00  █ ▆
returns-label  3000.00  3000.00  3000.00  3000.00             █

Memory in MB (used at most, and free at least), and costs
function       size  used              free  billed/run         USD  USD/million
checkout        512   104 ██▎           80%        2.14   0.0000135         2.70
returns-label   128    60 █████▏        53%        1.00  0.00000645         6.45

spread: how many took how long, from 100 to 3000 ms on a logarithmic scale.
billed/run: billed over actual duration; above 1 are starts and rounding.
USD: estimated for x86_64, list_tier_1.

What one would change
- checkout: memory could shrink from 512 to 192 MB, as at most 104 MB were used
  in 5 invocations; it would get less CPU, too: compare durations.
- checkout: 2 of 5 invocations (40%) started cold, which took 400 ms at most,
  and 2.14 times the actual duration is billed: do less at the start, or keep
  environments warm.
- returns-label: 1 of 1 invocation timed out, the longest took 3000 ms: raise
  the timeout, or look at the slow dependency.
Advice on smaller memory and on cold starts takes 5 invocations of a function.

";
    assert_eq!(summary.render(PLAIN), expected);
}

#[test]
fn fits_a_narrow_terminal() {
    let memory = "Duration: 7212.54 ms, Billed Duration: 9000 ms, Memory Size: 1024 MB, Max Memory Used: 1024 MB, Status: error, Error Type: Runtime.OutOfMemory";
    let summary = summary("/aws/lambda/invoice-document", &[COLD, LATE, memory]);
    for (width, spread) in [(60, false), (80, true)] {
        let shown = summary.render(Style { color: false, width });
        assert_eq!(shown.lines().find(|line| line.chars().count() > width), None, "{shown}");
        assert_eq!((shown.contains("  spread\n"), shown.contains("\nspread: ")), (spread, spread), "{shown}");
    }
}

#[test]
fn colours_stress_what_words_say() {
    let shown = summary("/aws/lambda/f", &[LATE]).render(Style { color: true, width: 80 });
    let (dim, bold, red, off) = ("\x1b[2m", "\x1b[1m", "\x1b[31m", "\x1b[0m");
    for line in [
        format!("{bold}Invocations{off}"),
        format!("{dim}function{off}  {dim}invoked{off}  {dim}errors{off}  {dim}timeouts{off}  {dim}cold starts{off}"),
        format!("f               1       {red}1{off}         {red}1{off}            0 0%"),
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
    assert!(shown.contains(&format!("\n- {bold}f{off}: 1 of 1 invocation timed out")), "{shown}");
}

#[test]
fn advice_says_what_it_rests_on() {
    let used =
        |used: u32, rest: &str| format!("Duration: 50.00 ms, Memory Size: 512 MB, Max Memory Used: {used} MB{rest}");
    let times = |many: usize, report: &str| vec![report.to_owned(); many];
    let out_of_memory = ", Status: error, Error Type: Runtime.OutOfMemory";
    for (reports, expected) in [
        (times(5, &used(256, "")), "Nothing stands out."),
        (times(4, &used(100, "")), "Nothing stands out."),
        (
            times(5, &used(250, "")),
            "- f: memory could shrink from 512 to 384 MB, as at most 250 MB were used in 5 invocations; it would get less CPU, too: compare durations.",
        ),
        (
            times(1, &used(480, "")),
            "- f: memory is tight, 480 of 512 MB were used in 1 invocation: 640 MB would leave room.",
        ),
        (
            times(1, &used(512, out_of_memory)),
            "- f: 1 of 1 invocation ran out of memory, 512 of 512 MB were used in 1 invocation: 704 MB would leave room, or look at what grows.",
        ),
        (
            times(6, &used(90, out_of_memory)),
            "- f: 6 of 6 invocations ran out of memory, but only 90 of 512 MB were used in 6 invocations: look at limits of its own, as of a heap.",
        ),
        (times(2, &used(300, ", Status: error")), "- f: 2 of 2 invocations failed: the logs say why."),
        (
            times(2, &used(300, ", Status: timeout")),
            "- f: 2 of 2 invocations timed out, the longest took 50 ms: raise the timeout, or look at the slow dependency.",
        ),
    ] {
        let reports: Vec<_> = reports.iter().map(String::as_str).collect();
        let shown = summary("/aws/lambda/f", &reports).render(Style { color: false, width: 1000 });
        let (_, advice) = shown.split_once("What one would change\n").unwrap();
        assert_eq!(advice.lines().next(), Some(expected));
    }
}

#[test]
fn functions_without_prices_or_memory_have_no_such_columns() {
    let shown = summary("/aws/lambda/managed", &["Duration: 1.00 ms"]).render(PLAIN);
    assert!(!shown.contains("USD") && !shown.contains("Memory") && !shown.contains("billed"), "{shown}");
    assert_eq!(Summary::default().render(PLAIN), "No invocations.\n");
}

#[test]
fn memory_is_judged_at_the_size_it_had_last() {
    let small = "Duration: 1.00 ms, Memory Size: 128 MB, Max Memory Used: 127 MB";
    let shown = summary("/aws/lambda/f", &[small, WARM, WARM]).render(PLAIN);
    assert!(shown.contains("\nf          512   100 "), "{shown}");
    assert!(!shown.contains("tight"), "{shown}");
}

#[test]
fn percentiles_are_by_nearest_rank() {
    let values: Vec<_> = (1..=20).map(f64::from).collect();
    for (percent, expected) in [(50, 10.0), (95, 19.0), (99, 20.0), (100, 20.0)] {
        assert_eq!(nearest_rank(&values, percent), Some(expected), "{percent}");
    }
    assert_eq!(nearest_rank(&[7.0], 50), Some(7.0));
    assert_eq!(nearest_rank(&[], 50), None);
}

#[test]
fn spreads_over_a_logarithmic_scale() {
    assert_eq!(spread(&[1.0, 10.0, 100.0, 1000.0], (1.0, 1000.0)), [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1]);
    assert_eq!(spread(&[0.0, 5.0], (5.0, 5.0)), [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn prices_show_three_digits() {
    for (price, expected) in
        [(0.0, "0.00"), (0.000_018_72, "0.0000187"), (0.5, "0.500"), (1.239, "1.24"), (123.4, "123.40")]
    {
        assert_eq!(dollars(price), expected);
    }
}
