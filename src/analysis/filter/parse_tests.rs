use proptest::prelude::any;
use proptest::prelude::*;

use super::*;
use crate::analysis::filter::column::{TextColumn, YesNoColumn};

fn text(column: TextColumn, pattern: &str, fits: bool) -> Condition {
    Condition::Text { column, pattern: Glob::new(pattern), fits }
}

fn yes(column: YesNoColumn) -> Condition {
    Condition::YesNo { column, is: true }
}

const fn number(column: NumberColumn, comparison: Comparison, number: u64) -> Condition {
    Condition::Number { column, comparison, number }
}

#[test]
fn and_binds_more_than_or_and_brackets_more_than_both() {
    let parsed =
        filter("type=*.DataFrame and bytes >= 1M or not (tracked or label='[*]')").unwrap();
    let brackets =
        Condition::Any(vec![yes(YesNoColumn::Tracked), text(TextColumn::Label, "[*]", true)]);
    let frames = Condition::All(vec![
        text(TextColumn::Type, "*.DataFrame", true),
        number(NumberColumn::Bytes, Comparison::GreaterOrEqual, 1 << 20),
    ]);
    assert_eq!(parsed, Condition::Any(vec![frames, Condition::Not(Box::new(brackets))]));
}

#[test]
fn words_that_begin_like_keywords_are_values() {
    let expected = Condition::All(vec![
        text(TextColumn::Module, "orders", true),
        text(TextColumn::Type, "notes.Android", false),
    ]);
    assert_eq!(filter("module=orders and type!=notes.Android"), Ok(expected));
}

#[test]
fn facts_hold_or_not() {
    let is = |text| match filter(text) {
        Ok(Condition::YesNo { is, .. }) => Some(is),
        _ => None,
    };
    for (text, expected) in
        [("garbage", true), ("garbage=no", false), ("garbage!=no", true), ("frozen==yes", true)]
    {
        assert_eq!(is(text), Some(expected), "{text}");
    }
}

#[test]
fn errors_name_the_place() {
    let said = |text: &str| filter(text).unwrap_err();
    for (text, at, message) in [
        ("", 0, "a condition is expected here"),
        ("type=dict and", 13, "a condition is expected here"),
        ("shalow>1M", 0, "`shalow` is no column"),
        ("type=dict shallow>1", 10, "`and`, `or` or the end is expected here"),
        ("type", 4, "an operator is expected behind `type`"),
        ("type>dict", 4, "`type` is no number"),
        ("type=", 5, "a value is expected here"),
        ("type=dict and (tracked", 22, "`)` is expected here"),
        ("size=>3", 4, "`=>` is no operator"),
        ("size>3T", 5, "a size is a number and K, M or G"),
        ("refcount>3K", 9, "`3K` is no number"),
        ("size>99999999999999999999", 5, "99999999999999999999 is too large"),
        ("size>99999999999999G", 5, "99999999999999G is too large"),
        ("tracked=maybe", 8, "yes or no is expected here"),
        ("label='.x", 6, "the quotation does not end"),
        ("type=é and x=1", 11, "`x` is no column"),
        ("not", 3, "a condition is expected here"),
        ("tracked)", 7, "`and`, `or` or the end is expected here"),
    ] {
        let error = said(text);
        assert!(error.message.starts_with(message), "{text}: {}", error.message);
        assert_eq!(error.at, at, "{text}: {}", error.message);
    }
    let told = said("type=dict and sise>1").to_string();
    assert!(told.starts_with("the filter is not understood at character 15: `sise`"), "{told}");
    assert!(told.ends_with("\n  type=dict and sise>1\n                ^"), "{told}");
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{}tracked{}", "(".repeat(depth), ")".repeat(depth));
    assert!(filter(&nested(DEEPEST - 1)).is_ok());
    assert!(filter(&nested(DEEPEST)).unwrap_err().message.starts_with("it is nested deeper"));
    assert!(filter(&nested(30_000)).is_err() && filter(&"not ".repeat(10_000)).is_err());
    assert!(filter(&" ".repeat(LONGEST + 1)).is_err());
}

/// A condition in words that the parser must read back.
fn written() -> impl Strategy<Value = (String, Condition)> {
    let leaf = prop_oneof![
        ("[a-z.*?]{1,8}", any::<bool>()).prop_map(|(pattern, fits)| {
            let sign = if fits { "=" } else { "!=" };
            (format!("type {sign} \"{pattern}\""), text(TextColumn::Type, &pattern, fits))
        }),
        any::<u64>().prop_map(|size| {
            (
                format!("retained<{size}"),
                Condition::Number {
                    column: NumberColumn::Retained,
                    comparison: Comparison::Less,
                    number: size,
                },
            )
        }),
        Just(("garbage".to_owned(), yes(YesNoColumn::Garbage))),
    ];
    leaf.prop_recursive(4, 20, 3, |inner| {
        let several = |word: &'static str, make: fn(Vec<Condition>) -> Condition| {
            prop::collection::vec(inner.clone(), 2..4).prop_map(move |parts| {
                let (texts, conditions): (Vec<String>, Vec<Condition>) = parts.into_iter().unzip();
                let texts: Vec<String> = texts.iter().map(|text| format!("({text})")).collect();
                (texts.join(word), make(conditions))
            })
        };
        prop_oneof![
            several(" and ", Condition::All),
            several(" or\t", Condition::Any),
            inner.clone().prop_map(|(text, condition)| {
                (format!("not ({text})"), Condition::Not(Box::new(condition)))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back((text, condition) in written()) {
        prop_assert_eq!(filter(&text), Ok(condition));
    }

    #[test]
    fn no_text_makes_it_panic_and_every_error_has_a_place(text in any::<String>()) {
        if let Err(error) = filter(&text) {
            prop_assert!(error.at <= error.text.chars().count());
            prop_assert!(!error.message.is_empty(), "{error:?}");
        }
    }

    #[test]
    fn no_text_of_its_own_words_makes_it_panic(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "and", "or", "not", "(", ")", "=", "<=", "type", "size", "garbage", "1M", "'", " ", "é", "*",
            ]),
            0..20,
        ),
    ) {
        if let Err(error) = filter(&words.concat()) {
            prop_assert!(error.at <= error.text.chars().count());
            prop_assert!(!error.message.is_empty(), "{error:?}");
        }
    }
}
