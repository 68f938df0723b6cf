//! What code calls the objects on a path: a function by its code, a frame by what it runs.

use crate::graph::{HeapGraph, ObjectId, StringId};

/// The name of an object: its own, or that of the code that it runs.
#[must_use]
pub fn name_of(graph: &HeapGraph, object: ObjectId) -> Option<StringId> {
    if let Some(&name) = graph.names.get(&object) {
        return Some(name);
    }
    if graph.names.is_empty() {
        return None;
    }
    match graph.type_name_of(object) {
        "builtins.function"
        | "builtins.frame"
        | "builtins.generator"
        | "builtins.coroutine"
        | "builtins.async_generator" => code_name(graph, object),
        "builtins.method" => {
            let function = graph.referents.of(object).first().copied()?;
            code_name(graph, function)
        }
        _ => None,
    }
}

/// The name of the code object that an object refers to first.
fn code_name(graph: &HeapGraph, object: ObjectId) -> Option<StringId> {
    let referents = graph.referents.of(object).iter();
    let mut all = referents.chain(graph.hidden_referents.of(object));
    let code = all.find(|&&to| graph.type_name_of(to) == "builtins.code")?;
    graph.names.get(code).copied()
}

/// A variable of an enclosing function, by the name of a function and the place in its closure.
pub(super) fn free_variable(name: &str, nth: usize) -> Option<&str> {
    let (_, names) = name.strip_suffix(']')?.rsplit_once(" [")?;
    names.split(", ").nth(nth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_of_a_closure_have_names() {
        let name = "handler (app [old].py:12) [payload, x]";
        assert_eq!(free_variable(name, 0), Some("payload"));
        assert_eq!((free_variable(name, 1), free_variable(name, 2)), (Some("x"), None));
        assert_eq!(free_variable("handler (app [old].py:12)", 0), None);
    }
}
