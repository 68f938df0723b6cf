//! A Python program that unit tests look at: it says what it has done, and goes on when it is told to.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The program; it ends when this is dropped.
pub(crate) struct Program {
    child: Child,
    says: Lines<BufReader<ChildStdout>>,
}

impl Program {
    /// Starts a program and waits until it says that it is ready.
    pub(crate) fn ready(script: &str) -> Self {
        let mut child = Command::new("python3")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let says = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut program = Self { child, says };
        program.says("ready");
        program
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it go on until it says something, which must be this.
    pub(crate) fn go_on(&mut self, expected: &str) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        self.says(expected);
    }

    fn says(&mut self, expected: &str) {
        assert_eq!(self.says.next().unwrap().unwrap(), expected);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
