//! The grammar of `--when`:
//!
//! ```text
//! condition = all ("or" all)*
//! all       = one ("and" one)*
//! one       = "not" one | "(" condition ")" | quantity operator number
//! quantity  = a word | word "(" argument ")"
//! operator  = "<" | "<=" | ">" | ">=" | "=" | "=="
//! number    = digits, with K, M, G or T (powers of 1024) or % behind
//! ```

use std::fmt;
use std::str::FromStr;

use winnow::ascii::{float, multispace0};
use winnow::combinator::{alt, cut_err, delimited, eof, opt, preceded, repeat, terminated};
use winnow::error::{ContextError, ErrMode, StrContext, StrContextValue};
use winnow::token::take_while;
use winnow::{ModalResult, Parser};

/// The longest condition, in bytes.
const LONGEST: usize = 1000;
/// How many brackets and negations it may have, which bounds how deep it can be nested.
const DEEPEST: usize = 64;

/// Something that can be compared with a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quantity {
    /// Resident memory, in bytes.
    Rss,
    /// Anonymous memory, in bytes.
    Private,
    /// Swapped memory, in bytes.
    Swap,
    /// Threads.
    Threads,
    /// For how long has been recorded, in seconds.
    Seconds,
    /// Objects of a type in the last census.
    Objects(String),
    /// Bytes of a type in the last census.
    Bytes(String),
    /// Objects of a type in the last census beyond those of the first.
    Growth(String),
    /// Memory of the control group, in percent of its limit.
    Group,
    /// How often the control group has had an event of `memory.events` since the recording began.
    Events(String),
    /// Pressure of memory (`some` or `full`, over ten seconds), in percent.
    Pressure(String),
}

/// How two numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
    Equal,
}

/// A condition.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    Any(Vec<Self>),
    All(Vec<Self>),
    Not(Box<Self>),
    Compare(Quantity, Operator, f64),
}

/// A condition, with the words that it was given in.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    node: Node,
    text: String,
}

impl Condition {
    /// Whether it holds; `value` says what a quantity is now. What is not known holds nothing.
    #[must_use]
    pub fn holds(&self, value: &mut dyn FnMut(&Quantity) -> Option<f64>) -> bool {
        self.node.holds(value)
    }

    /// Whether a quantity occurs in it that `wanted` says yes to.
    #[must_use]
    pub fn mentions(&self, wanted: &dyn Fn(&Quantity) -> bool) -> bool {
        self.node.mentions(wanted)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Node {
    fn holds(&self, value: &mut dyn FnMut(&Quantity) -> Option<f64>) -> bool {
        match self {
            Self::Any(nodes) => nodes.iter().any(|node| node.holds(value)),
            Self::All(nodes) => nodes.iter().all(|node| node.holds(value)),
            Self::Not(node) => !node.holds(value),
            Self::Compare(quantity, operator, number) => {
                value(quantity).is_some_and(|value| match operator {
                    Operator::Less => value < *number,
                    Operator::LessOrEqual => value <= *number,
                    Operator::More => value > *number,
                    Operator::MoreOrEqual => value >= *number,
                    Operator::Equal => (value - number).abs() < 0.5,
                })
            }
        }
    }

    fn mentions(&self, wanted: &dyn Fn(&Quantity) -> bool) -> bool {
        match self {
            Self::Any(nodes) | Self::All(nodes) => nodes.iter().any(|node| node.mentions(wanted)),
            Self::Not(node) => node.mentions(wanted),
            Self::Compare(quantity, _, _) => wanted(quantity),
        }
    }
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("a condition has at most {LONGEST} characters"));
        }
        if text.matches('(').count() + text.to_ascii_lowercase().matches("not").count() > DEEPEST {
            return Err(format!("a condition has at most {DEEPEST} brackets and negations"));
        }
        let whole = terminated(any, (multispace0, eof.context(expected("and, or, or the end"))));
        let node = { whole }.parse(text).map_err(|error| {
            let rest = text.get(error.offset()..).unwrap_or_default();
            let at = if rest.is_empty() { "at the end".to_owned() } else { format!("at `{rest}`") };
            let reason = error.inner().to_string();
            format!("{at}: {}", reason.lines().last().unwrap_or("not understood"))
        })?;
        Ok(Self { node, text: text.to_owned() })
    }
}

const fn expected(what: &'static str) -> StrContext {
    StrContext::Expected(StrContextValue::Description(what))
}

fn word<'a>(input: &mut &'a str) -> ModalResult<&'a str> {
    preceded(multispace0, take_while(1.., |c: char| c.is_ascii_alphanumeric() || c == '_'))
        .parse_next(input)
}

/// A word that stands for itself, and not for the beginning of a longer one.
fn keyword<'a>(wanted: &'static str) -> impl Parser<&'a str, (), ErrMode<ContextError>> {
    word.verify(move |found: &str| found.eq_ignore_ascii_case(wanted)).void()
}

fn sign<'a>(wanted: &'static str) -> impl Parser<&'a str, (), ErrMode<ContextError>> {
    (multispace0, wanted).void()
}

fn any(input: &mut &str) -> ModalResult<Node> {
    let first = all(input)?;
    let more: Vec<Node> = repeat(0.., preceded(keyword("or"), cut_err(all))).parse_next(input)?;
    Ok(join(first, more, Node::Any))
}

fn all(input: &mut &str) -> ModalResult<Node> {
    let first = one(input)?;
    let more: Vec<Node> = repeat(0.., preceded(keyword("and"), cut_err(one))).parse_next(input)?;
    Ok(join(first, more, Node::All))
}

fn join(first: Node, mut more: Vec<Node>, make: fn(Vec<Node>) -> Node) -> Node {
    if more.is_empty() {
        return first;
    }
    more.insert(0, first);
    make(more)
}

fn one(input: &mut &str) -> ModalResult<Node> {
    let not = preceded(keyword("not"), cut_err(one)).map(|node| Node::Not(Box::new(node)));
    let brackets = delimited(sign("("), cut_err(any), cut_err(sign(")")));
    alt((not, brackets, compare)).parse_next(input)
}

fn compare(input: &mut &str) -> ModalResult<Node> {
    let names = "rss, private, swap, threads, seconds, group, objects(TYPE), bytes(TYPE), \
                 growth(TYPE), events(NAME) or pressure(some)";
    let quantity = cut_err(quantity.context(expected(names))).parse_next(input)?;
    let operator = cut_err(operator.context(expected("<, <=, >, >= or ="))).parse_next(input)?;
    let number =
        cut_err(number.context(expected("a number such as 100 or 4G"))).parse_next(input)?;
    Ok(Node::Compare(quantity, operator, number))
}

fn quantity(input: &mut &str) -> ModalResult<Quantity> {
    let argument = |c: char| c.is_alphanumeric() || "._<>".contains(c);
    let argument = delimited(sign("("), take_while(1.., argument), cut_err(sign(")")));
    (word, opt(argument))
        .verify_map(|(name, argument): (&str, Option<&str>)| {
            Some(match (name, argument.map(str::to_owned)) {
                ("rss", None) => Quantity::Rss,
                ("private", None) => Quantity::Private,
                ("swap", None) => Quantity::Swap,
                ("threads", None) => Quantity::Threads,
                ("seconds", None) => Quantity::Seconds,
                ("group", None) => Quantity::Group,
                ("objects", Some(name)) => Quantity::Objects(name),
                ("bytes", Some(name)) => Quantity::Bytes(name),
                ("growth", Some(name)) => Quantity::Growth(name),
                ("events", Some(name)) => Quantity::Events(name),
                ("pressure", Some(name)) => Quantity::Pressure(name),
                ("pressure", None) => Quantity::Pressure("some".to_owned()),
                _ => return None,
            })
        })
        .parse_next(input)
}

fn operator(input: &mut &str) -> ModalResult<Operator> {
    alt((
        sign("<=").value(Operator::LessOrEqual),
        sign(">=").value(Operator::MoreOrEqual),
        sign("==").value(Operator::Equal),
        sign("<").value(Operator::Less),
        sign(">").value(Operator::More),
        sign("=").value(Operator::Equal),
    ))
    .parse_next(input)
}

fn number(input: &mut &str) -> ModalResult<f64> {
    let number: f64 = preceded(multispace0, float).parse_next(input)?;
    let unit = opt(alt((
        "%".value(1.0),
        ('K', opt("iB")).value(1024.0),
        ('M', opt("iB")).value(1_048_576.0),
        ('G', opt("iB")).value(1_073_741_824.0),
        ('T', opt("iB")).value(1_099_511_627_776.0),
    )));
    let unit: Option<f64> = { unit }.parse_next(input)?;
    Ok(number * unit.unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str, known: &[(&str, f64)]) -> bool {
        let condition: Condition = text.parse().unwrap();
        assert_eq!(condition.to_string(), text);
        condition.holds(&mut |quantity| {
            let name = format!("{quantity:?}");
            known.iter().find(|(word, _)| *word == name).map(|(_, value)| *value)
        })
    }

    #[test]
    fn conditions_are_joined_as_people_read_them() {
        let text = "rss > 4G or growth(DataFrame) > 100";
        let growth = "Growth(\"DataFrame\")";
        assert!(holds(text, &[("Rss", 5e9), (growth, 0.0)]));
        assert!(holds(text, &[("Rss", 1.0), (growth, 101.0)]));
        assert!(!holds(text, &[("Rss", 1.0), (growth, 100.0)]));
        let text = "not (rss<1K) and threads >= 2 or seconds == 7";
        assert!(holds(text, &[("Rss", 2000.0), ("Threads", 2.0)]));
        assert!(!holds(text, &[("Rss", 2000.0), ("Threads", 1.0)]));
        assert!(holds(text, &[("Rss", 0.0), ("Seconds", 7.0)]));
        assert!(holds(
            "pressure(full) > 12.5% and group>90%",
            &[("Pressure(\"full\")", 13.0), ("Group", 90.1)]
        ));
    }

    #[test]
    fn what_is_not_known_does_not_hold() {
        assert!(!holds("objects(app.Session) > 0", &[]));
        assert!(!holds("objects(app.Session) < 10", &[]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, says) in [
            ("", "at the end"),
            ("rsss > 4G", "at `rsss > 4G`"),
            ("rss > lots", "a number such as"),
            ("rss 4G", "<, <=, >, >= or ="),
            ("rss > 4G xor swap > 1", "and, or, or the end"),
            ("(rss > 4G", "at the end"),
            ("growth > 4", "at `growth > 4`"),
        ] {
            let error = text.parse::<Condition>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!("(".repeat(2000).parse::<Condition>().is_err());
        assert!("(".repeat(DEEPEST).parse::<Condition>().is_err());
        assert!("not ".repeat(DEEPEST).parse::<Condition>().is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z0-9 ()<>=.%GM]{0,80}") {
            let _ = text.parse::<Condition>();
        }
    }
}
