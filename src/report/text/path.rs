//! A path in one line: `module app.cache → dict[*] → Session`.

use crate::analysis::Path;
use crate::report::short_type;

/// The line of a path; without `full_names` a class is shown without its module.
#[must_use]
pub fn line(path: &Path, full_names: bool) -> String {
    let root = match path.root.kind {
        None => "no known root".to_owned(),
        Some(kind) if path.root.name.is_empty() => kind.name().replace('_', " "),
        Some(kind) => format!("{} {}", kind.name().replace('_', " "), path.root.name),
    };
    let mut line = root;
    for step in &path.steps {
        line.push_str(&step.label);
        line.push_str(" → ");
        let name = short_type(&step.type_name);
        let short = name.rsplit('.').next().unwrap_or(name);
        line.push_str(if full_names { name } else { short });
    }
    line.replace(char::is_control, "\u{fffd}")
}
