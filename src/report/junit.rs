//! Verdicts as JUnit XML, which CI systems show as tests.

use std::io;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::text::path;
use crate::analysis::verdict::Outcome;

/// One test case a rule; a rule that does not hold is a failure whose text names the holders.
///
/// # Errors
/// The document cannot be made.
pub fn document(outcomes: &[Outcome]) -> io::Result<String> {
    let mut suite = TestSuite::new("pyheap check");
    for outcome in outcomes {
        suite.add_test_case(TestCase::new(outcome.rule.text(), status(outcome)));
    }
    let mut report = Report::new("pyheap");
    report.add_test_suite(suite);
    report.to_string().map_err(io::Error::other)
}

fn status(outcome: &Outcome) -> TestCaseStatus {
    if outcome.holds {
        return TestCaseStatus::success();
    }
    let held = outcome.held_by.iter();
    let held = held.map(|held| format!("{} {}", held.objects, path::held_by(held, true)));
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status
        .set_message(format!("{}, more than {}", outcome.found, outcome.rule.limit()))
        .set_type("pyheap")
        .set_description(held.collect::<Vec<_>>().join("\n"));
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Selection;
    use crate::analysis::verdict::{Meant, Rule, check};
    use crate::graph::{GraphBuilder, RootKind};

    #[test]
    fn a_rule_is_a_test_case_and_a_failure_names_the_holder() {
        let mut builder = GraphBuilder::new();
        let cache = builder.object(0x100, "builtins.list", 72);
        builder.root(RootKind::Module, "app<\u{1}>", cache);
        let session = builder.object(0x200, "app.Session", 48);
        builder.item(cache, 0, session);
        let max = |objects| Rule::Max { type_name: "app.Session".to_owned(), objects };
        let graph = builder.build();
        let meant = Meant { graph: &graph, selection: &Selection::all() };
        let xml = document(&check(meant, None, &[max(1), max(0)]).unwrap()).unwrap();
        let report = Report::deserialize_from_str(&xml).unwrap();
        let suite = &report.test_suites[0];
        assert_eq!((suite.tests, suite.failures), (2, 1), "{xml}");
        assert!(matches!(suite.test_cases[0].status, TestCaseStatus::Success { .. }));
        let TestCaseStatus::NonSuccess { message, description, .. } = &suite.test_cases[1].status
        else {
            panic!("{xml}");
        };
        assert_eq!(message.as_deref(), Some("1, more than 0"));
        let held = description.as_deref().unwrap_or_default();
        assert!(held.contains("1 held by module app<") && held.contains("app.Session"), "{xml}");
    }
}
