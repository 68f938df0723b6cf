//! The grammar:
//!
//! ```text
//! filter     = all ("or" all)*
//! all        = one ("and" one)*
//! one        = "not" one | "(" filter ")" | column operator value | column
//! operator   = "=" | "==" | "!=" | "<" | "<=" | ">" | ">="
//! value      = a word | "text" | 'text'
//! ```
//!
//! A column without an operator is one that holds or not, such as `tracked`.

use winnow::combinator::{alt, cut_err, eof, not, peek, repeat};
use winnow::error::{ErrMode, ParserError};
use winnow::stream::{LocatingSlice, Location, Stateful, Stream};
use winnow::token::{any, take_while};
use winnow::{ModalResult, Parser};

use super::column::{COLUMNS, Column, Comparison, NumberColumn};
use super::glob::Glob;
use super::{Condition, FilterError};

/// The deepest nesting of brackets and negations: far beyond what people write, and little enough
/// for the stack.
const DEEPEST: usize = 64;

/// The longest filter, in bytes.
const LONGEST: usize = 64 * 1024;

/// The text, and how deep the parser is in it.
type Input<'a> = Stateful<LocatingSlice<&'a str>, usize>;

/// Where the text is not understood, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Misfit {
    at: usize,
    message: String,
}

impl<'a> ParserError<Input<'a>> for Misfit {
    type Inner = Self;

    fn from_input(input: &Input<'a>) -> Self {
        Self { at: input.current_token_start(), message: String::new() }
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}

type Result_<T> = ModalResult<T, Misfit>;

/// Reads a whole filter.
pub(super) fn filter(text: &str) -> Result<Condition, FilterError> {
    let clean = text.replace(char::is_control, " ");
    let failed = |misfit: Misfit| FilterError {
        at: clean.get(..misfit.at).map_or(0, |before| before.chars().count()),
        message: misfit.message,
        text: clean.clone(),
    };
    if text.len() > LONGEST {
        let message = format!("it is longer than {LONGEST} bytes");
        return Err(FilterError { text: String::new(), at: 0, message });
    }
    let mut input = Input { input: LocatingSlice::new(clean.as_str()), state: 0 };
    let parsed = any_of(&mut input).and_then(|condition| {
        blank(&mut input)?;
        let end: Result_<&str> = eof.parse_next(&mut input);
        match end {
            Ok(_) => Ok(condition),
            Err(_) => wrong(&input, "`and`, `or` or the end is expected here"),
        }
    });
    parsed.map_err(|error| match error {
        ErrMode::Backtrack(misfit) | ErrMode::Cut(misfit) => failed(misfit),
        ErrMode::Incomplete(_) => failed(Misfit { at: clean.len(), message: "it ends".to_owned() }),
    })
}

/// A failure that no other way to read the text can mend.
fn wrong<T>(input: &Input<'_>, message: impl Into<String>) -> Result_<T> {
    wrong_at(input.current_token_start(), message)
}

fn wrong_at<T>(at: usize, message: impl Into<String>) -> Result_<T> {
    Err(ErrMode::Cut(Misfit { at, message: message.into() }))
}

fn blank(input: &mut Input<'_>) -> Result_<()> {
    take_while(0.., char::is_whitespace).void().parse_next(input)
}

const fn is_word(character: char) -> bool {
    !character.is_ascii_whitespace()
        && !matches!(character, '(' | ')' | '=' | '!' | '<' | '>' | '"' | '\'')
}

/// `and`, `or`, `not`: not the beginning of a longer word.
fn keyword<'a>(wanted: &'static str) -> impl Parser<Input<'a>, (), ErrMode<Misfit>> {
    (blank, wanted, peek(not(any.verify(|&next: &char| is_word(next))))).void()
}

fn any_of(input: &mut Input<'_>) -> Result_<Condition> {
    let mut ways = vec![all_of(input)?];
    let mut more: Vec<Condition> =
        repeat(0.., (keyword("or"), cut_err(all_of)).map(|(_, way)| way)).parse_next(input)?;
    if more.is_empty() {
        return Ok(ways.remove(0));
    }
    ways.append(&mut more);
    Ok(Condition::Any(ways))
}

fn all_of(input: &mut Input<'_>) -> Result_<Condition> {
    let mut parts = vec![one(input)?];
    let mut more: Vec<Condition> =
        repeat(0.., (keyword("and"), cut_err(one)).map(|(_, part)| part)).parse_next(input)?;
    if more.is_empty() {
        return Ok(parts.remove(0));
    }
    parts.append(&mut more);
    Ok(Condition::All(parts))
}

fn one(input: &mut Input<'_>) -> Result_<Condition> {
    blank(input)?;
    if input.state >= DEEPEST {
        return wrong(input, format!("it is nested deeper than {DEEPEST}"));
    }
    input.state += 1;
    let condition = alt((negation, brackets, comparison)).parse_next(input);
    input.state -= 1;
    condition
}

fn negation(input: &mut Input<'_>) -> Result_<Condition> {
    (keyword("not"), cut_err(one))
        .map(|(_, inner)| Condition::Not(Box::new(inner)))
        .parse_next(input)
}

fn brackets(input: &mut Input<'_>) -> Result_<Condition> {
    '('.parse_next(input)?;
    let inner = cut_err(any_of).parse_next(input)?;
    blank(input)?;
    let close: Result_<char> = ')'.parse_next(input);
    if close.is_err() {
        return wrong(input, "`)` is expected here");
    }
    Ok(inner)
}

fn comparison(input: &mut Input<'_>) -> Result_<Condition> {
    let at = input.current_token_start();
    let name: &str = take_while(0.., is_word).parse_next(input)?;
    let column = match Column::from_name(name) {
        Some(column) => column,
        None if name.is_empty() => return wrong_at(at, "a condition is expected here"),
        None => {
            let names: Vec<&str> = COLUMNS.iter().map(|&(name, _)| name).collect();
            let message = format!("`{name}` is no column; there are {}", names.join(", "));
            return wrong_at(at, message);
        }
    };
    blank(input)?;
    let operator_at = input.current_token_start();
    let Some(comparison) = operator(input)? else {
        return match column {
            Column::YesNo(column) => Ok(Condition::YesNo { column, is: true }),
            _ => wrong_at(
                operator_at,
                format!("an operator is expected behind `{name}`: = != < <= > >="),
            ),
        };
    };
    let is_equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
    if !is_equality && !matches!(column, Column::Number(_)) {
        return wrong_at(operator_at, format!("`{name}` is no number: only = and != go with it"));
    }
    blank(input)?;
    let value_at = input.current_token_start();
    let text = value(input)?;
    let is = comparison == Comparison::Equal;
    match column {
        Column::Text(column) => Ok(Condition::Text { column, pattern: Glob::new(&text), fits: is }),
        Column::YesNo(column) => match text.as_str() {
            "yes" | "true" => Ok(Condition::YesNo { column, is }),
            "no" | "false" => Ok(Condition::YesNo { column, is: !is }),
            _ => wrong_at(value_at, "yes or no is expected here"),
        },
        Column::Number(column) => match number(column, &text) {
            Ok(number) => Ok(Condition::Number { column, comparison, number }),
            Err(message) => wrong_at(value_at, message),
        },
    }
}

fn operator(input: &mut Input<'_>) -> Result_<Option<Comparison>> {
    let before = input.checkpoint();
    let sign: &str = take_while(0.., ['=', '!', '<', '>']).parse_next(input)?;
    Ok(Some(match sign {
        "=" | "==" => Comparison::Equal,
        "!=" => Comparison::NotEqual,
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        ">" => Comparison::Greater,
        ">=" => Comparison::GreaterOrEqual,
        "" => return Ok(None),
        _ => {
            input.reset(&before);
            return wrong(input, format!("`{sign}` is no operator: = != < <= > >="));
        }
    }))
}

fn value(input: &mut Input<'_>) -> Result_<String> {
    let quote: Option<char> = input.peek_token().filter(|next| matches!(next, '"' | '\''));
    let Some(quote) = quote else {
        let word: &str = take_while(0.., is_word).parse_next(input)?;
        return match word {
            "" => wrong(input, "a value is expected here"),
            word => Ok(word.to_owned()),
        };
    };
    let at = input.current_token_start();
    let _ = input.next_token();
    let text: &str = take_while(0.., |character| character != quote).parse_next(input)?;
    match input.next_token() {
        Some(_) => Ok(text.to_owned()),
        None => wrong_at(at, "the quotation does not end"),
    }
}

/// A number, decimal or `0x…`; of bytes also with `K`, `M`, `G` (powers of 1024; `KiB`, `MB` too).
fn number(column: NumberColumn, text: &str) -> Result<u64, String> {
    let too_large = || format!("{text} is too large");
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u64::from_str_radix(digits, 16).map_err(|_| format!("`{text}` is no number"));
    }
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end).unwrap_or((text, ""));
    if digits.is_empty() {
        return Err("a number is expected here".to_owned());
    }
    let number: u64 = digits.parse().map_err(|_| too_large())?;
    let is_bytes = matches!(
        column,
        NumberColumn::Shallow
            | NumberColumn::Buffers
            | NumberColumn::Bytes
            | NumberColumn::Retained
    );
    let shift = match unit {
        "" => 0,
        "B" if is_bytes => 0,
        "K" | "k" | "KB" | "kB" | "KiB" if is_bytes => 10,
        "M" | "MB" | "MiB" if is_bytes => 20,
        "G" | "GB" | "GiB" if is_bytes => 30,
        _ if is_bytes => return Err("a size is a number and K, M or G".to_owned()),
        _ => return Err(format!("`{text}` is no number")),
    };
    number.checked_mul(1 << shift).ok_or_else(too_large)
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
