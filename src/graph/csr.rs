//! Compressed adjacency: all edges in one column, and where each object's begin.

use super::ids::ObjectId;

/// The edges of all objects of a graph, in the order of the objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Csr {
    /// One entry an object and one behind the last: where its edges begin.
    offsets: Vec<u64>,
    targets: Vec<ObjectId>,
}

impl Default for Csr {
    fn default() -> Self {
        Self { offsets: vec![0], targets: Vec::new() }
    }
}

impl Csr {
    /// An adjacency without edges and without objects, with room for some.
    #[must_use]
    pub fn with_capacity(objects: usize, edges: usize) -> Self {
        let mut offsets = Vec::with_capacity(objects.saturating_add(1));
        offsets.push(0);
        Self { offsets, targets: Vec::with_capacity(edges) }
    }

    /// Appends the edges of the next object.
    pub fn push(&mut self, edges: impl IntoIterator<Item = ObjectId>) {
        self.targets.extend(edges);
        self.offsets.push(self.targets.len() as u64);
    }

    /// Appends the edges of the objects of another adjacency behind those of this one.
    pub fn append(&mut self, other: &Self) {
        let base = self.targets.len() as u64;
        self.targets.extend_from_slice(&other.targets);
        self.offsets.extend(other.offsets.iter().skip(1).map(|offset| base + offset));
    }

    /// How many objects have been pushed.
    #[must_use]
    pub fn objects(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// How many edges there are in all.
    #[must_use]
    pub fn edges(&self) -> usize {
        self.targets.len()
    }

    /// The edges of one object; none for an object that is not there.
    #[must_use]
    pub fn of(&self, object: ObjectId) -> &[ObjectId] {
        let at = |index: usize| self.offsets.get(index).and_then(|&at| usize::try_from(at).ok());
        match (at(object.index()), at(object.index() + 1)) {
            (Some(start), Some(end)) => self.targets.get(start..end).unwrap_or(&[]),
            _ => &[],
        }
    }

    /// The same edges the other way round: for each object, who refers to it, in ascending order
    /// and as often as it does.
    #[must_use]
    pub fn reverse(&self) -> Self {
        let objects = self.objects();
        let mut offsets = vec![0_u64; objects + 1];
        for target in &self.targets {
            if let Some(count) = offsets.get_mut(target.index() + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for offset in &mut offsets {
            sum += *offset;
            *offset = sum;
        }
        let mut next = offsets.clone();
        let mut sources = vec![ObjectId::default(); self.targets.len()];
        for source in 0..objects {
            let source = ObjectId::from_index(source);
            for target in self.of(source) {
                if let Some(at) = next.get_mut(target.index()) {
                    if let Some(slot) = usize::try_from(*at).ok().and_then(|at| sources.get_mut(at))
                    {
                        *slot = source;
                    }
                    *at += 1;
                }
            }
        }
        Self { offsets, targets: sources }
    }
}
