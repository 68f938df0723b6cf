//! `pyheap completions` and `pyheap man`.

use clap::CommandFactory;

use crate::cli::Context;
use crate::cli::args::Cli;
use crate::error::Error;

pub(super) fn completions(
    shell: clap_complete::Shell,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    // The generator panics when it cannot write; memory can always be written.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "pyheap", &mut script);
    Ok(context.out.write_all(&script)?)
}

pub(super) fn page(command: Option<&str>, context: &mut Context<'_>) -> Result<(), Error> {
    let mut root = Cli::command();
    root.build();
    let found = match command {
        None => root,
        Some(name) => root
            .find_subcommand(name)
            .cloned()
            .ok_or_else(|| Error::usage(format!("no command is called {name}"), None))?,
    };
    Ok(clap_mangen::Man::new(found).render(context.out)?)
}
