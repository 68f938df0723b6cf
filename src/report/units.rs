//! Numbers as people read them.

/// `12,345`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `+12,345`, `-3`, `0`.
#[must_use]
pub fn signed_count(number: i64) -> String {
    format!("{}{}", sign(number), count(number.unsigned_abs()))
}

/// `512 B`, `1.2 MiB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[allow(clippy::cast_precision_loss)]
    let mut value = bytes as f64;
    let mut shown = "B";
    for unit in UNITS {
        value /= 1024.0;
        shown = unit;
        // What would round to 1024.0 is 1.0 of the next unit.
        if value < 1023.95 {
            break;
        }
    }
    format!("{value:.1} {shown}")
}

/// `+1.2 MiB`, `-512 B`, `0 B`.
#[must_use]
pub fn signed_bytes(number: i64) -> String {
    format!("{}{}", sign(number), bytes(number.unsigned_abs()))
}

const fn sign(number: i64) -> &'static str {
    match number {
        1.. => "+",
        0 => "",
        _ => "-",
    }
}

/// A part of a whole, from 0 to 1.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// `3.4 %`.
#[must_use]
pub fn percent(part: u64, whole: u64) -> String {
    format!("{:.1} %", share(part, whole) * 100.0)
}

/// `12.3 ms`, `1.2 s`, `3 h 12 min`, `5 d 3 h`.
#[must_use]
pub fn seconds(seconds: f64) -> String {
    if seconds < 1.0 {
        return format!("{:.1} ms", seconds * 1000.0);
    }
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let minutes = whole(seconds / 60.0);
    match minutes {
        0..60 => format!("{minutes} min"),
        60..1440 => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => format!("{} d {} h", minutes / 1440, minutes % 1440 / 60),
    }
}

/// A time without its fraction.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
const fn whole(time: f64) -> u64 {
    time as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_bytes_have_a_unit() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(signed_count(-1234), "-1,234");
        assert_eq!(signed_count(0), "0");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1.0 KiB");
        assert_eq!(bytes(1024 * 1024 - 1), "1.0 MiB");
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
        assert_eq!(signed_bytes(79_691_776), "+76.0 MiB");
        assert_eq!(signed_bytes(i64::MIN), "-8.0 EiB");
    }

    #[test]
    fn shares_of_nothing_are_nothing() {
        assert_eq!(percent(0, 0), "0.0 %");
        assert_eq!(percent(34, 1000), "3.4 %");
    }

    #[test]
    fn times_have_the_unit_that_fits() {
        let texts = [0.0123, 1.25, 75.0, 11_520.0, 442_800.0].map(seconds);
        assert_eq!(texts, ["12.3 ms", "1.2 s", "1 min", "3 h 12 min", "5 d 3 h"]);
    }
}
