//! Colour, where it is wanted.

/// When colour is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set; elsewhere if `CLICOLOR_FORCE` is.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Writes texts in the colours of their roles.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Style {
    colored: bool,
}

impl Style {
    /// Without colour.
    pub const PLAIN: Self = Self { colored: false };

    /// Decides from the choice, from the environment (by name), and from where the output goes.
    #[must_use]
    pub fn new(
        choice: ColorChoice,
        environment: impl Fn(&str) -> Option<String>,
        terminal: bool,
    ) -> Self {
        let set = |name: &str| environment(name).is_some_and(|value| !value.is_empty());
        let forced = environment("CLICOLOR_FORCE").is_some_and(|v| !v.is_empty() && v != "0");
        let colored = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => !set("NO_COLOR") && (forced || terminal),
        };
        Self { colored }
    }

    /// Whether there are colours.
    #[must_use]
    pub const fn is_colored(self) -> bool {
        self.colored
    }

    /// A heading.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// What matters less.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// What is wrong, or grew.
    #[must_use]
    pub fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// What is well.
    #[must_use]
    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colored { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides_when_nothing_is_chosen() {
        let with = |set: &'static str, terminal| {
            Style::new(ColorChoice::Auto, |name| (name == set).then(|| "1".to_owned()), terminal)
        };
        assert_eq!(with("", true), Style { colored: true });
        assert_eq!(with("NO_COLOR", true), Style::PLAIN);
        assert_eq!(with("", false), Style::PLAIN);
        assert_eq!(with("CLICOLOR_FORCE", false), Style { colored: true });
        assert_eq!(Style::new(ColorChoice::Never, |_| None, true), Style::PLAIN);
    }
}
