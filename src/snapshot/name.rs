//! The name a snapshot file gets when none is given.

use std::path::{Path, PathBuf};

use crate::facts::Facts;

/// The longest program name that goes into a file name, in bytes.
const PROGRAM_BYTES: usize = 64;

/// `pyheap-<program>.<pid>.<UTC time>.parquet`, such as
/// `pyheap-python3.11.4242.20260801T093015Z.parquet`. Characters of the program's name that would
/// need quoting are replaced.
#[must_use]
pub fn default_name(facts: &Facts) -> String {
    let executable = facts.process.executable.trim_end_matches(" (deleted)");
    let program = executable.rsplit('/').next().unwrap_or_default();
    let program: String = program
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
        .take(PROGRAM_BYTES)
        .collect();
    let program = if program.is_empty() { "python" } else { &program };
    format!("pyheap-{program}.{}.{}.parquet", facts.process.pid, utc(facts.taken_at))
}

/// `NAME.<pid>.parquet` for `NAME.parquet`: the file of one process of several. An ending in two parts
/// (`.pb.gz`) stays whole.
#[must_use]
pub fn numbered(file: &Path, pid: u32) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let whole = name.strip_suffix(".gz").unwrap_or(&name);
    let dot = whole.rfind('.').filter(|&dot| dot > 0).unwrap_or(whole.len());
    let (stem, ending) = name.split_at(dot);
    file.with_file_name(format!("{stem}.{pid}{ending}"))
}

/// Seconds since 1970 as `20260801T093015Z`. What is no time (negative, not a number, after the
/// year 9999) is taken for 1970.
fn utc(seconds: f64) -> String {
    const YEAR_10000: f64 = 253_402_300_800.0;
    let seconds = if (0.0..YEAR_10000).contains(&seconds) { seconds } else { 0.0 };
    // In range by the line above, so nothing is cut but the fraction.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let seconds = seconds as u64;
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// The Gregorian date of a day counted from 1970-01-01.
const fn civil(days: u64) -> (u64, u64, u64) {
    // Years that begin in March put the leap day last; 400 of them are a whole era of 146,097 days.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + (month <= 2) as u64;
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::ProcessFacts;

    #[test]
    fn the_name_tells_program_pid_and_time() {
        let mut facts = Facts {
            process: ProcessFacts {
                pid: 4242,
                executable: "/usr/bin/python 3;x".into(),
                ..ProcessFacts::default()
            },
            taken_at: 1_785_576_615.9,
            ..Facts::default()
        };
        assert_eq!(default_name(&facts), "pyheap-python_3_x.4242.20260801T093015Z.parquet");
        facts.process.executable = "/opt/py (deleted)".into();
        facts.taken_at = 951_782_400.0;
        assert_eq!(default_name(&facts), "pyheap-py.4242.20000229T000000Z.parquet");
        facts.process.executable = String::new();
        facts.taken_at = f64::NAN;
        assert_eq!(default_name(&facts), "pyheap-python.4242.19700101T000000Z.parquet");
    }

    #[test]
    fn the_file_of_one_process_of_several_keeps_its_ending() {
        for (file, numbered) in [
            ("/tmp/a.parquet", "/tmp/a.7.parquet"),
            ("a.b.parquet", "a.b.7.parquet"),
            ("a.pb.gz", "a.7.pb.gz"),
            ("a.gz", "a.7.gz"),
            ("a", "a.7"),
            (".hidden", ".hidden.7"),
        ] {
            assert_eq!(super::numbered(Path::new(file), 7), Path::new(numbered), "{file}");
        }
    }

    #[test]
    fn dates_follow_each_other_for_four_centuries() {
        let days_in = |year: u64, month: u64| match month {
            2 if year.is_multiple_of(if year.is_multiple_of(100) { 400 } else { 4 }) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let mut expected = (1970, 1, 1);
        for day in 0..146_097 {
            assert_eq!(civil(day), expected);
            let (year, month, of_month) = expected;
            expected = match (of_month < days_in(year, month), month) {
                (true, _) => (year, month, of_month + 1),
                (false, 12) => (year + 1, 1, 1),
                (false, _) => (year, month + 1, 1),
            };
        }
    }
}
