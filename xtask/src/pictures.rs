//! The pictures of the README: what pyheap prints on a terminal, as SVG.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// What to draw.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The pyheap to run; without it, one is built
    #[arg(long, value_name = "FILE")]
    pyheap: Option<PathBuf>,
    /// The Python program that is snapshotted
    #[arg(long, value_name = "FILE", default_value = "python3")]
    python: PathBuf,
}

/// Columns of the terminal.
const COLUMNS: usize = 80;
/// Pixels from one line to the next.
const LINE: usize = 18;
/// Tenths of a pixel from one column to the next.
const COLUMN_TENTHS: usize = 78;
/// Pixels around the text.
const MARGIN: usize = 14;

/// Runs `pyheap demo` and `pyheap snapshot`, and writes what they print to `docs/pictures/`.
///
/// # Errors
/// If one of them fails or a picture cannot be written.
pub(crate) fn draw(workspace: &Path, arguments: &Arguments) -> Result<()> {
    let pyheap = match &arguments.pyheap {
        Some(path) => path.clone(),
        None => build(workspace)?,
    };
    let folder = workspace.join("docs/pictures");
    fs::create_dir_all(&folder)?;
    save(&folder.join("demo.svg"), "pyheap demo", &run(&pyheap, &["demo"])?)?;

    let mut program = Program::start(&arguments.python)?;
    let pid = program.child.id().to_string();
    let text = run(&pyheap, &["snapshot", "-p", &pid, "-n", "12"])?;
    program.end()?;
    save(&folder.join("snapshot.svg"), &format!("pyheap snapshot -p {pid} -n 12"), &text)
}

/// Builds pyheap and says where it is.
fn build(workspace: &Path) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status =
        Command::new(cargo).args(["build", "--release"]).current_dir(workspace).status()?;
    ensure!(status.success(), "cargo build: {status}");
    Ok(crate::support::pythons::target_dir(workspace).join("release/pyheap"))
}

/// What a command of pyheap prints to a terminal.
fn run(pyheap: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(pyheap)
        .args(arguments)
        .args(["--color", "always"])
        .env("COLUMNS", COLUMNS.to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", pyheap.display()))?;
    ensure!(output.status.success(), "pyheap {}: {}", arguments.join(" "), output.status);
    String::from_utf8(output.stdout).context("the output is not UTF-8")
}

/// A small Python process to look at. It ends with its input, so it does not outlive us.
struct Program {
    child: Child,
}

impl Program {
    /// Starts it and waits until its objects are there.
    fn start(python: &Path) -> Result<Self> {
        use std::io::{BufRead as _, BufReader};
        let code = "import json, decimal, sys\n\
                    class Session:\n    \
                        def __init__(self, n): self.user = f'user-{n}'; self.seen = [n]\n\
                    sessions = [Session(n) for n in range(20_000)]\n\
                    print('ready', flush=True)\n\
                    sys.stdin.read()\n";
        let mut child = Command::new(python)
            .args(["-I", "-S", "-c", code])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", python.display()))?;
        let mut line = String::new();
        let output = child.stdout.take().context("the program has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line.trim_end() == "ready", "the program said {line:?}");
        Ok(Self { child })
    }

    fn end(&mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        ensure!(status.success(), "the program ended with {status}");
        Ok(())
    }
}

fn save(path: &Path, command: &str, output: &str) -> Result<()> {
    let picture = picture(&format!("\x1b[1m$ {command}\x1b[0m\n{output}"))?;
    fs::write(path, picture).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}", path.display());
    Ok(())
}

/// A run of characters of one style, and where it begins.
struct Piece<'a> {
    text: &'a str,
    row: usize,
    column: usize,
    attributes: String,
}

/// Cuts text with SGR codes into pieces, wrapped as a terminal of this width does; also says how many rows there are.
fn pieces(text: &str) -> Result<(Vec<Piece<'_>>, usize)> {
    let mut pieces = Vec::new();
    let mut style = Style::default();
    let mut row = 0;
    for line in text.trim_end().lines() {
        let mut column = 0;
        for (index, part) in line.split("\x1b[").enumerate() {
            let mut rest = part;
            if index > 0 {
                let (code, shown) = part.split_once('m').context("an escape that is not SGR")?;
                style.set(code)?;
                rest = shown;
            }
            while !rest.is_empty() {
                if column == COLUMNS {
                    (row, column) = (row + 1, 0);
                }
                let end =
                    rest.char_indices().nth(COLUMNS - column).map_or(rest.len(), |(at, _)| at);
                let (text, after) = rest.split_at(end);
                pieces.push(Piece { text, row, column, attributes: style.attributes() });
                column += text.chars().count();
                rest = after;
            }
        }
        row += 1;
    }
    Ok((pieces, row))
}

/// Text with SGR codes as SVG: dark, of a fixed width, one `text` element for each run of one style.
fn picture(text: &str) -> Result<String> {
    let (pieces, rows) = pieces(text)?;
    let width = COLUMNS * COLUMN_TENTHS / 10 + 2 * MARGIN;
    let height = rows * LINE + 2 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#16181d\"/>\n\
         <g font-family=\"ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace\" \
         font-size=\"13\" fill=\"#d7dae0\">\n"
    );
    for piece in pieces {
        let shown = piece.text.trim();
        if shown.is_empty() {
            continue;
        }
        // Spaces at the front are a position, which no viewer collapses.
        let spaces = piece.text.chars().take_while(|char| *char == ' ').count();
        let x = MARGIN * 10 + (piece.column + spaces) * COLUMN_TENTHS;
        let y = MARGIN + piece.row * LINE + 13;
        let length = shown.chars().count() * COLUMN_TENTHS;
        writeln!(
            svg,
            "<text x=\"{}.{}\" y=\"{y}\" textLength=\"{}.{}\"{}>{}</text>",
            x / 10,
            x % 10,
            length / 10,
            length % 10,
            piece.attributes,
            escape(shown)
        )?;
    }
    svg.push_str("</g>\n</svg>\n");
    Ok(svg)
}

/// What the SGR codes so far say of the text that follows.
#[derive(Default)]
struct Style {
    bold: bool,
    dim: bool,
    color: Option<&'static str>,
}

impl Style {
    fn set(&mut self, codes: &str) -> Result<()> {
        for code in codes.split(';') {
            match code {
                "" | "0" => *self = Self::default(),
                "1" => self.bold = true,
                "2" => self.dim = true,
                "31" => self.color = Some("#ff7b72"),
                "32" => self.color = Some("#7ee787"),
                "33" => self.color = Some("#e3b341"),
                "34" => self.color = Some("#79c0ff"),
                "35" => self.color = Some("#d2a8ff"),
                "36" => self.color = Some("#56d4dd"),
                other => anyhow::bail!("pyheap prints SGR code {other}, which pictures lack"),
            }
        }
        Ok(())
    }

    fn attributes(&self) -> String {
        let mut attributes = String::new();
        if self.bold {
            attributes.push_str(" font-weight=\"bold\"");
        }
        if self.dim {
            attributes.push_str(" opacity=\"0.6\"");
        }
        if let Some(color) = self.color {
            attributes.push_str(" fill=\"");
            attributes.push_str(color);
            attributes.push('"');
        }
        attributes
    }
}

/// Text as XML has it. Runs of spaces stand as no-break spaces, which no viewer collapses.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace("  ", "\u{a0}\u{a0}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_are_kept_and_text_is_escaped() {
        let svg = picture("a  <b>\n  \x1b[1;31mred\x1b[0m & plain").unwrap();
        assert!(svg.contains(">a\u{a0}\u{a0}&lt;b&gt;</text>"), "{svg}");
        assert!(svg.contains(" font-weight=\"bold\" fill=\"#ff7b72\">red</text>"), "{svg}");
        assert!(svg.contains("<text x=\"29.6\" y=\"45\" textLength=\"23.4\""), "{svg}");
        assert!(svg.contains(">&amp; plain</text>"), "{svg}");
    }

    #[test]
    fn long_lines_wrap_as_a_terminal_wraps_them() {
        let text = format!("{}b\nnext", "a".repeat(COLUMNS));
        let (pieces, rows) = pieces(&text).unwrap();
        let places: Vec<_> =
            pieces.iter().map(|piece| (piece.row, piece.column, piece.text)).collect();
        assert_eq!(rows, 3);
        assert_eq!(places[1..], [(1, 0, "b"), (2, 0, "next")]);
        assert_eq!(super::pieces(&"a".repeat(COLUMNS)).unwrap().1, 1);
    }

    #[test]
    fn an_unknown_code_is_not_drawn_wrongly() {
        picture("\x1b[95mx\x1b[0m").unwrap_err();
        picture("\x1b[2J").unwrap_err();
    }
}
