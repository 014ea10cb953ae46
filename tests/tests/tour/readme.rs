//! Parts of the README.

/// The text of a section, its subsections included.
pub fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let start = text.find(&format!("\n{heading}")).unwrap_or_else(|| panic!("no section `{heading}`")) + 1;
    let rest = &text[start..];
    let level = heading.split(' ').next().unwrap_or_default();
    let end = rest[1..].find(&format!("\n{level} ")).map_or(rest.len(), |end| end + 1);
    &rest[..end]
}

/// A file between fences.
pub struct Fence<'a> {
    pub language: &'a str,
    pub text: &'a str,
}

impl<'a> Fence<'a> {
    pub fn all(text: &'a str) -> Vec<Self> {
        let fences = text.split("```").skip(1).step_by(2);
        let split = |fence: &'a str| fence.split_once('\n').expect("a fence has lines");
        fences.map(split).map(|(language, text)| Self { language, text }).collect()
    }
}

/// Lines that are indented by four spaces, without the margin.
#[derive(Debug, Default)]
pub struct Block {
    /// Each command with what it prints.
    pub commands: Vec<(String, Vec<String>)>,
    /// Lines of a block without commands.
    pub printed: Vec<String>,
}

impl Block {
    pub fn all(text: &str) -> Vec<Self> {
        let mut blocks = Vec::new();
        let mut lines: Vec<&str> = Vec::new();
        let outside_fences = text.split("```").step_by(2).flat_map(|part| part.lines().chain(["end"]));
        for line in outside_fences {
            match line.strip_prefix("    ") {
                Some(line) => lines.push(line),
                // An empty line goes on with a block, or ends it.
                None if line.is_empty() => lines.push(""),
                None => blocks.extend(Self::of(&std::mem::take(&mut lines))),
            }
        }
        blocks
    }

    fn of(lines: &[&str]) -> Option<Self> {
        let first = lines.iter().position(|line| !line.is_empty())?;
        let last = lines.iter().rposition(|line| !line.is_empty())?;
        let mut block = Self::default();
        for line in &lines[first..=last] {
            if let Some(command) = line.strip_prefix("$ ") {
                block.commands.push((command.to_owned(), Vec::new()));
            } else if let Some((_, printed)) = block.commands.last_mut() {
                printed.push((*line).to_owned());
            } else {
                block.printed.push((*line).to_owned());
            }
        }
        // An empty line between a command's output and the next command is for the eye.
        for (_, printed) in &mut block.commands {
            while printed.last().is_some_and(String::is_empty) {
                printed.pop();
            }
        }
        Some(block)
    }
}
