//! Stacks as a tree: each is a frame and the stack that called it. Bounded, whatever a target does.

use rustc_hash::FxHashMap;

/// The most stacks that are told apart.
const MOST_STACKS: usize = 1 << 16;
/// The most lines that are told apart.
const MOST_FRAMES: usize = 1 << 15;

/// A line of a function.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Frame {
    /// The source file.
    pub file: String,
    /// The line; 0 where the code does not say.
    pub line: u32,
    /// The (qualified, from 3.11 on) name of the function.
    pub function: String,
}

/// The number of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameId(pub u32);

/// The number of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackId(pub u32);

/// All stacks that were seen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stacks {
    frames: Vec<Frame>,
    frame_ids: FxHashMap<Frame, FrameId>,
    /// The caller and the innermost frame of each stack.
    stacks: Vec<(Option<StackId>, FrameId)>,
    stack_ids: FxHashMap<(Option<StackId>, FrameId), StackId>,
}

impl Stacks {
    /// The number of a line. When there are too many, all further ones are one.
    pub fn frame(&mut self, frame: Frame) -> FrameId {
        if let Some(&id) = self.frame_ids.get(&frame) {
            return id;
        }
        let frame = match self.frames.len() < MOST_FRAMES {
            true => frame,
            false => Frame { file: String::new(), line: 0, function: "(too many lines)".into() },
        };
        let frames = &mut self.frames;
        *self.frame_ids.entry(frame).or_insert_with_key(|frame| {
            frames.push(frame.clone());
            FrameId(number(frames.len() - 1))
        })
    }

    /// The number of the stack of a frame that another stack called. When there are too many, it is
    /// that of the caller, and where there is no caller one for all.
    pub fn push(&mut self, caller: Option<StackId>, frame: FrameId) -> StackId {
        if let Some(&id) = self.stack_ids.get(&(caller, frame)) {
            return id;
        }
        if self.stacks.len() >= MOST_STACKS {
            return match caller {
                Some(caller) => caller,
                None => self.overflow(),
            };
        }
        self.add(caller, frame)
    }

    /// The stack of all outermost frames that came too late to be told apart.
    fn overflow(&mut self) -> StackId {
        let function = "(too many stacks)".to_owned();
        let frame = self.frame(Frame { file: String::new(), line: 0, function });
        match self.stack_ids.get(&(None, frame)) {
            Some(&id) => id,
            None => self.add(None, frame),
        }
    }

    fn add(&mut self, caller: Option<StackId>, frame: FrameId) -> StackId {
        let id = StackId(number(self.stacks.len()));
        self.stacks.push((caller, frame));
        self.stack_ids.insert((caller, frame), id);
        id
    }

    /// The innermost frame of a stack.
    #[must_use]
    pub fn innermost(&self, stack: StackId) -> Option<FrameId> {
        Some(self.stacks.get(stack.0 as usize)?.1)
    }

    /// The stack that called the innermost frame of one.
    #[must_use]
    pub fn caller(&self, stack: StackId) -> Option<StackId> {
        self.stacks.get(stack.0 as usize)?.0
    }

    /// What a line is.
    #[must_use]
    pub fn line(&self, frame: FrameId) -> Option<&Frame> {
        self.frames.get(frame.0 as usize)
    }

    /// The frames of a stack, the outermost first.
    #[must_use]
    pub fn frames(&self, stack: StackId) -> Vec<&Frame> {
        let mut frames = Vec::new();
        let mut next = Some(stack);
        // A caller is always older than what it calls, so this ends.
        while let Some(&(caller, frame)) = next.and_then(|id| self.stacks.get(id.0 as usize)) {
            frames.extend(self.line(frame));
            next = caller.filter(|&caller| Some(caller) < next);
        }
        frames.reverse();
        frames
    }

    /// How many stacks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stacks.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stacks.is_empty()
    }
}

/// An index as a number: both tables have far less than 2^32 rows.
fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(line: u32) -> Frame {
        Frame { file: "app.py".into(), line, function: "f".into() }
    }

    #[test]
    fn equal_stacks_have_one_number() {
        let mut stacks = Stacks::default();
        let (a, b) = (stacks.frame(frame(1)), stacks.frame(frame(2)));
        assert_eq!(stacks.frame(frame(1)), a);
        let outer = stacks.push(None, a);
        let inner = stacks.push(Some(outer), b);
        assert_eq!(stacks.push(Some(outer), b), inner);
        assert_ne!(stacks.push(None, b), inner);
        assert_eq!(stacks.frames(inner), [&frame(1), &frame(2)]);
        assert_eq!((stacks.innermost(inner), stacks.caller(inner)), (Some(b), Some(outer)));
    }

    #[test]
    fn a_target_with_endless_stacks_fills_no_memory() {
        let mut stacks = Stacks::default();
        let mut stack = None;
        for line in 0..200_000 {
            let id = stacks.frame(frame(line));
            stack = Some(stacks.push(stack, id));
        }
        assert!(stacks.len() <= MOST_STACKS && stacks.frames.len() <= MOST_FRAMES + 1);
        assert_eq!(stacks.frames(stack.unwrap()).len(), MOST_STACKS);
    }
}
