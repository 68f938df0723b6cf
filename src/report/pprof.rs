//! A profile as `pprof` reads it: the protocol buffer of `profile.proto` (github.com/google/pprof), compressed
//! with gzip.
//!
//! Messages may be written in pieces: what follows is added to what was there. So each sample is written by
//! itself, and the whole is never in memory.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;
use rustc_hash::FxHashMap;

use super::profile::Profile;

/// `perftools.profiles.Profile`, the fields that are used.
#[derive(Clone, PartialEq, Message)]
struct ProfileProto {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(int64, repeated, tag = "13")]
    comment: Vec<i64>,
    #[prost(int64, tag = "14")]
    default_sample_type: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    r#type: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    /// The innermost first.
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
}

/// Writes a profile, with a line about where it comes from.
///
/// # Errors
/// Those of the writer.
pub fn write(out: &mut dyn Write, profile: &Profile, comment: &str) -> io::Result<()> {
    let mut out = GzEncoder::new(out, Compression::default());
    let mut strings = Strings::default();
    // The empty text must be the first one.
    strings.number("");
    let (objects, bytes) = (strings.number("objects"), strings.number("bytes"));
    let count = strings.number("count");
    let objects = ValueType { r#type: objects, unit: count };
    let sample_type = match profile.has_objects {
        true => vec![objects, ValueType { r#type: bytes, unit: bytes }],
        false => vec![ValueType { r#type: bytes, unit: bytes }],
    };
    let comment = vec![strings.number(comment)];
    let head =
        ProfileProto { sample_type, comment, default_sample_type: bytes, ..Default::default() };
    out.write_all(&head.encode_to_vec())?;
    for stack in profile.samples() {
        let location_id = profile.frames_of(stack).map(|frame| u64::from(frame) + 1).collect();
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let mut value = vec![signed(stack.objects), signed(stack.bytes)];
        if !profile.has_objects {
            value.remove(0);
        }
        let sample = vec![Sample { location_id, value }];
        out.write_all(&ProfileProto { sample, ..Default::default() }.encode_to_vec())?;
    }
    for (id, frame) in (1..).zip(&profile.frames) {
        let (name, filename) = (strings.number(&frame.name), strings.number(&frame.file));
        let line = vec![Line { function_id: id, line: frame.line.into() }];
        let part = ProfileProto {
            location: vec![Location { id, line }],
            function: vec![Function { id, name, system_name: name, filename }],
            ..Default::default()
        };
        out.write_all(&part.encode_to_vec())?;
    }
    for text in strings.order {
        let string_table = vec![text];
        out.write_all(&ProfileProto { string_table, ..Default::default() }.encode_to_vec())?;
    }
    out.finish()?;
    Ok(())
}

/// The texts, each once.
#[derive(Default)]
struct Strings {
    numbers: FxHashMap<String, i64>,
    order: Vec<String>,
}

impl Strings {
    fn number(&mut self, text: &str) -> i64 {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        let number = i64::try_from(self.order.len()).unwrap_or(i64::MAX);
        self.numbers.insert(text.to_owned(), number);
        self.order.push(text.to_owned());
        number
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::report::profile::{Frame, Stack};

    fn decoded(profile: &Profile) -> ProfileProto {
        let mut file = Vec::new();
        write(&mut file, profile, "a test").unwrap();
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(file.as_slice()).read_to_end(&mut bytes).unwrap();
        ProfileProto::decode(bytes.as_slice()).unwrap()
    }

    #[test]
    fn a_sample_is_a_stack_with_objects_and_bytes() {
        let frame = |name: &str, line| Frame { name: name.into(), file: "a.py".into(), line };
        let stack = |parent, frame, objects, bytes| Stack { parent, frame, objects, bytes };
        let mut profile = Profile {
            frames: vec![frame("main", 1), frame("run", 2)],
            stacks: vec![stack(None, 0, 0, 0), stack(Some(0), 1, 3, 40), stack(Some(1), 1, 0, 2)],
            has_objects: true,
        };
        let proto = decoded(&profile);
        let text = |number: i64| proto.string_table[usize::try_from(number).unwrap()].as_str();
        let types: Vec<_> =
            proto.sample_type.iter().map(|ty| (text(ty.r#type), text(ty.unit))).collect();
        assert_eq!(types, [("objects", "count"), ("bytes", "bytes")]);
        let samples: Vec<_> =
            proto.sample.iter().map(|s| (&s.location_id[..], &s.value[..])).collect();
        assert_eq!(samples, [(&[2, 1][..], &[3, 40][..]), (&[2, 2, 1], &[0, 2])]);
        let functions: Vec<_> =
            proto.function.iter().map(|f| (f.id, text(f.name), text(f.filename))).collect();
        assert_eq!(functions, [(1, "main", "a.py"), (2, "run", "a.py")]);
        assert_eq!((proto.location[1].line[0].function_id, proto.location[1].line[0].line), (2, 2));
        assert_eq!((text(0), text(proto.comment[0])), ("", "a test"));
        profile.has_objects = false;
        let proto = decoded(&profile);
        assert_eq!((proto.sample_type.len(), &proto.sample[0].value[..]), (1, &[40][..]));
    }
}
