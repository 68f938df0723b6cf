//! The pictures of the README: what pyheap prints on a terminal, as SVG.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::support::tmux::Tmux;

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
/// The colours of text that has none.
const FOREGROUND: &str = "#d7dae0";
const BACKGROUND: &str = "#16181d";

/// Runs `pyheap demo`, `pyheap snapshot` and `pyheap top`, and writes what they print to `docs/pictures/`.
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
    save(&folder.join("snapshot.svg"), &format!("pyheap snapshot -p {pid} -n 12"), &text)?;
    let text = watch(&pyheap, &mut program)?;
    program.end()?;
    save(&folder.join("top.svg"), &format!("pyheap top -p {pid}"), &text)
}

/// The screen of `pyheap top` while a program grows.
fn watch(pyheap: &Path, program: &mut Program) -> Result<String> {
    let command = format!("exec {} top -p {} --interval 2s", pyheap.display(), program.child.id());
    let tmux = Tmux::start(u16::try_from(COLUMNS)?, 24, &command)?;
    tmux.wait_for_words("__main__.Session")?;
    for sessions in ["+2,000", "+4,000", "+6,000"] {
        program.grow()?;
        tmux.wait_for_words(sessions)?;
    }
    tmux.colored_screen()
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
    says: BufReader<ChildStdout>,
}

impl Program {
    /// Starts it and waits until its objects are there.
    fn start(python: &Path) -> Result<Self> {
        let code = "import json, decimal, sys\n\
                    class Session:\n    \
                        def __init__(self, n): self.user = f'user-{n}'; self.seen = [n]\n\
                    sessions = [Session(n) for n in range(20_000)]\n\
                    print('ready', flush=True)\n\
                    for line in sys.stdin:\n    \
                        sessions += [Session(n) for n in range(2_000)]\n    \
                        print('grown', flush=True)\n";
        let mut child = Command::new(python)
            .args(["-I", "-S", "-c", code])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", python.display()))?;
        let output = child.stdout.take().context("the program has no output")?;
        let mut program = Self { child, says: BufReader::new(output) };
        program.says("ready")?;
        Ok(program)
    }

    /// Lets it make more objects, and waits until they are there.
    fn grow(&mut self) -> Result<()> {
        self.child.stdin.as_mut().context("the program has no input")?.write_all(b"\n")?;
        self.says("grown")
    }

    fn says(&mut self, word: &str) -> Result<()> {
        let mut line = String::new();
        self.says.read_line(&mut line)?;
        ensure!(line.trim_end() == word, "the program said {line:?}");
        Ok(())
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
    is_reversed: bool,
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
                let (attributes, is_reversed) = (style.attributes(), style.reversed);
                pieces.push(Piece { text, row, column, attributes, is_reversed });
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
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n\
         <g font-family=\"ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace\" \
         font-size=\"13\" fill=\"{FOREGROUND}\">\n"
    );
    for piece in pieces {
        let (left, top) = (MARGIN * 10 + piece.column * COLUMN_TENTHS, MARGIN + piece.row * LINE);
        if piece.is_reversed {
            let width = piece.text.chars().count() * COLUMN_TENTHS;
            writeln!(
                svg,
                "<rect x=\"{}.{}\" y=\"{top}\" width=\"{}.{}\" height=\"{LINE}\" fill=\"{FOREGROUND}\"/>",
                left / 10,
                left % 10,
                width / 10,
                width % 10,
            )?;
        }
        let shown = piece.text.trim();
        if shown.is_empty() {
            continue;
        }
        // Spaces at the front are a position, which no viewer collapses.
        let spaces = piece.text.chars().take_while(|char| *char == ' ').count();
        let x = left + spaces * COLUMN_TENTHS;
        let y = top + 13;
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
    reversed: bool,
    color: Option<&'static str>,
}

impl Style {
    fn set(&mut self, codes: &str) -> Result<()> {
        // tmux says the sixteen colours in the way of the 256.
        let codes =
            codes.strip_prefix("38;5;").map_or_else(|| codes.to_owned(), |nth| format!("3{nth}"));
        for code in codes.split(';') {
            match code {
                "" | "0" => *self = Self::default(),
                "1" => self.bold = true,
                "2" => self.dim = true,
                "7" => self.reversed = true,
                "39" => self.color = None,
                // Nothing has a background but what is reversed.
                "49" => {}
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
        if let Some(color) = self.color.or(self.reversed.then_some(BACKGROUND)) {
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
    fn what_is_reversed_is_dark_on_light() {
        let svg = picture("ab \x1b[7mcd\x1b[0m").unwrap();
        let expected = "<rect x=\"37.4\" y=\"14\" width=\"15.6\" height=\"18\" fill=\"#d7dae0\"/>\n\
                        <text x=\"37.4\" y=\"27\" textLength=\"15.6\" fill=\"#16181d\">cd</text>";
        assert!(svg.contains(expected), "{svg}");
    }

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
