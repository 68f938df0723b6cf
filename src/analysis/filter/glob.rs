//! Patterns of text: `*` stands for any text, `?` for one character.

/// A pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Glob {
    pattern: Vec<char>,
}

impl Glob {
    pub(super) fn new(pattern: &str) -> Self {
        Self { pattern: pattern.chars().collect() }
    }

    /// Whether the whole text fits. Linear in both lengths: after a star, only the last one is ever
    /// tried again.
    pub(super) fn fits(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut at, mut next) = (0, 0);
        // Where the last star is, and the text behind what it stands for so far.
        let mut star: Option<(usize, usize)> = None;
        while let Some(&character) = text.get(next) {
            match self.pattern.get(at) {
                Some('*') => {
                    star = Some((at, next));
                    at += 1;
                }
                Some(&wanted) if wanted == '?' || wanted == character => {
                    at += 1;
                    next += 1;
                }
                _ => {
                    let Some((place, from)) = star else { return false };
                    star = Some((place, from + 1));
                    at = place + 1;
                    next = from + 1;
                }
            }
        }
        self.pattern.get(at..).unwrap_or_default().iter().all(|&rest| rest == '*')
    }

    /// Whether it fits the name of a type: the full one, that without `builtins.`, or its last
    /// components.
    pub(super) fn fits_type(&self, name: &str) -> bool {
        self.fits(name)
            || name
                .match_indices('.')
                .any(|(dot, _)| name.get(dot + 1..).is_some_and(|components| self.fits(components)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same by trying everything.
    fn fits_slowly(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => {
                (0..=text.len()).any(|taken| fits_slowly(rest, &text[taken..]))
            }
            (Some(('?', pattern)), Some((_, text))) => fits_slowly(pattern, text),
            (Some((wanted, pattern)), Some((character, text))) => {
                wanted == character && fits_slowly(pattern, text)
            }
            _ => false,
        }
    }

    proptest::proptest! {
        #[test]
        fn stars_stand_for_any_text(pattern in "[ab*?.]{0,8}", text in "[ab.]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = fits_slowly(&chars(&pattern), &chars(&text));
            proptest::prop_assert_eq!(Glob::new(&pattern).fits(&text), expected);
        }
    }

    #[test]
    fn the_last_components_of_a_type_are_enough() {
        let fits = |pattern: &str, name: &str| Glob::new(pattern).fits_type(name);
        assert!(fits("dict", "builtins.dict") && fits("frame.DataFrame", "pandas.frame.DataFrame"));
        assert!(
            fits("Data*", "pandas.frame.DataFrame") && fits("pandas.*", "pandas.frame.DataFrame")
        );
        assert!(!fits("Frame", "pandas.frame.DataFrame") && !fits("", "app.A"));
    }
}
