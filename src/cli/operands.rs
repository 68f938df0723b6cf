//! Which positional arguments are the source, and which come after it.

use std::path::Path;

use super::args::SourceArgs;
use crate::error::Error;
use crate::source::Source;

/// Splits the positional arguments: with `-p` or `-c` none is the source, without them the first.
/// `most` is how many may come after the source.
pub(super) fn split<'a>(
    args: &SourceArgs,
    positional: &'a [String],
    most: usize,
) -> Result<(Source, &'a [String]), Error> {
    let (source, rest) = if let Some(pid) = args.pid {
        (Source::Pid(pid), positional)
    } else if let Some(core) = &args.core {
        (Source::Core { core: core.clone(), options: args.core_options() }, positional)
    } else {
        let Some((first, rest)) = positional.split_first() else {
            return Err(Error::usage(
                "which heap? give a snapshot file, -p PID or -c CORE",
                Some("pyheap ps lists the Python processes"),
            ));
        };
        (file(first)?, rest)
    };
    match rest.get(most) {
        None => Ok((source, rest)),
        Some(extra) => Err(Error::usage(
            format!("unexpected argument {extra}"),
            (args.pid.is_some() || args.core.is_some())
                .then_some("with -p or -c no argument is a source"),
        )),
    }
}

/// A snapshot file. A bare number that is no file was meant as a process.
pub(super) fn file(text: &str) -> Result<Source, Error> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let is_number = !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        && (text.starts_with("0x") || digits.bytes().all(|byte| byte.is_ascii_digit()));
    if is_number && !Path::new(text).is_file() {
        let hint = format!("-p {text} reads the process");
        return Err(Error::usage(format!("{text} is no snapshot file"), Some(&hint)));
    }
    Ok(Source::File(text.into()))
}
