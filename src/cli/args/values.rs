//! How numbers, sizes and times are written on the command line.

use std::time::Duration;

/// Reads a process id, decimal or hexadecimal.
pub(crate) fn pid(text: &str) -> Result<u32, String> {
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.ok().filter(|&pid| pid > 0).ok_or_else(|| "not a process id".to_owned())
}

/// Reads `TYPE=N`.
pub(crate) fn type_limit(text: &str) -> Result<(String, u64), String> {
    let (name, limit) = text.rsplit_once('=').ok_or_else(|| "not TYPE=N".to_owned())?;
    let limit = limit.parse().map_err(|_| format!("{limit} is no number"))?;
    if name.is_empty() { Err("not TYPE=N".to_owned()) } else { Ok((name.to_owned(), limit)) }
}

/// Reads a size: a number and `K`, `M` or `G` (powers of 1024), also with `iB` or `B` behind.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end).unwrap_or((text, ""));
    let unit = unit.trim_end_matches('B').trim_end_matches('i');
    let shift = match unit {
        "" => 0,
        "K" | "k" => 10,
        "M" => 20,
        "G" => 30,
        _ => return Err("a size is a number and K, M or G".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "not a size".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large".to_owned())
}

/// Reads a time: a number and `ms`, `s`, `m` or `h`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end).unwrap_or((text, ""));
    let scale = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err("a time is a number and ms, s, m or h".to_owned()),
    };
    let seconds: f64 = number.parse().map_err(|_| "not a time".to_owned())?;
    Duration::try_from_secs_f64(seconds * scale).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pids_are_decimal_or_hexadecimal() {
        assert_eq!((pid("4242"), pid("0x1092")), (Ok(4242), Ok(4242)));
        assert!(pid("0").is_err() && pid("-1").is_err() && pid("app").is_err());
    }

    #[test]
    fn sizes_have_units_and_limits_have_types() {
        assert_eq!(
            (bytes("512"), bytes("50M"), bytes("2GiB")),
            (Ok(512), Ok(50 << 20), Ok(2 << 30))
        );
        assert!(
            bytes("big").is_err() && bytes("5T").is_err() && bytes("99999999999999999999").is_err()
        );
        assert_eq!(type_limit("app.A=3"), Ok(("app.A".to_owned(), 3)));
        assert!(
            type_limit("app.A").is_err() && type_limit("=3").is_err() && type_limit("A=x").is_err()
        );
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert!(duration("soon").is_err() && duration("3d").is_err() && duration("").is_err());
    }
}
