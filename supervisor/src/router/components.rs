//! Strongly connected components of a sparse graph, by Tarjan's algorithm (R. Tarjan, Depth-first
//! search and linear graph algorithms, 1972): in time and memory that grow with nodes and edges. It
//! has a stack of its own, since a chain of mappings may be as long as the show file.

/// A node that was not reached yet.
const UNSEEN: usize = usize::MAX;

/// The components that hold a cycle: several nodes that reach each other, or one that leads to
/// itself. `next` are the nodes that each node leads to. Both the components and their nodes are in
/// ascending order.
#[must_use]
pub fn find(next: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut walk = Walk {
        next,
        order: vec![UNSEEN; next.len()],
        lowest: vec![UNSEEN; next.len()],
        is_open: vec![false; next.len()],
        open: Vec::new(),
        count: 0,
        components: Vec::new(),
    };
    for node in 0..next.len() {
        if walk.order[node] == UNSEEN {
            walk.from(node);
        }
    }
    walk.components.sort_unstable();
    walk.components
}

struct Walk<'a> {
    next: &'a [Vec<usize>],
    /// When a node was reached.
    order: Vec<usize>,
    /// The earliest reached node that a node leads back to.
    lowest: Vec<usize>,
    /// Whether a node is in `open`.
    is_open: Vec<bool>,
    /// Nodes whose component is not complete.
    open: Vec<usize>,
    count: usize,
    components: Vec<Vec<usize>>,
}

impl Walk<'_> {
    fn from(&mut self, start: usize) {
        self.enter(start);
        let mut path = vec![(start, 0)];
        while let Some((node, edge)) = path.last_mut() {
            let node = *node;
            let Some(target) = self.next[node].get(*edge).copied() else {
                path.pop();
                if let Some((before, _)) = path.last() {
                    self.lowest[*before] = self.lowest[*before].min(self.lowest[node]);
                }
                self.close(node);
                continue;
            };
            *edge += 1;
            if self.order[target] == UNSEEN {
                self.enter(target);
                path.push((target, 0));
            } else if self.is_open[target] {
                self.lowest[node] = self.lowest[node].min(self.order[target]);
            }
        }
    }

    fn enter(&mut self, node: usize) {
        self.order[node] = self.count;
        self.lowest[node] = self.count;
        self.count += 1;
        self.is_open[node] = true;
        self.open.push(node);
    }

    /// All that `node` leads to was walked. If it leads back to nothing earlier, the nodes opened
    /// since are its component.
    fn close(&mut self, node: usize) {
        if self.lowest[node] != self.order[node] {
            return;
        }
        let first = self.open.iter().rposition(|open| *open == node).unwrap_or_default();
        let mut component = self.open.split_off(first);
        component.iter().for_each(|member| self.is_open[*member] = false);
        if component.len() > 1 || self.next[node].contains(&node) {
            component.sort_unstable();
            self.components.push(component);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::find;
    use proptest::prelude::*;

    /// The same by a table of who reaches whom.
    fn by_reach(next: &[Vec<usize>]) -> Vec<Vec<usize>> {
        let count = next.len();
        let mut reach = vec![vec![false; count]; count];
        (0..count).for_each(|from| next[from].iter().for_each(|to| reach[from][*to] = true));
        for by in 0..count {
            for from in 0..count {
                for to in 0..count {
                    reach[from][to] |= reach[from][by] && reach[by][to];
                }
            }
        }
        let component = |node: usize| (0..count).filter(|to| reach[node][*to] && reach[*to][node]).collect();
        let mut components: Vec<Vec<usize>> =
            (0..count).map(component).filter(|members: &Vec<usize>| !members.is_empty()).collect();
        components.sort();
        components.dedup();
        components
    }

    #[test]
    fn a_ring_a_chain_and_a_hundred_thousand_nodes_need_no_table() {
        let count = 100_000;
        let mut next: Vec<Vec<usize>> = (0..count).map(|node| vec![(node + 1) % count]).collect();
        assert_eq!(find(&next), [(0..count).collect::<Vec<_>>()]);
        next[count - 1].clear();
        assert_eq!(find(&next), Vec::<Vec<usize>>::new());
        next[7].push(7);
        assert_eq!(find(&next), [[7]]);
    }

    proptest! {
        #[test]
        fn components_are_the_nodes_that_reach_each_other(
            next in (1usize..12).prop_flat_map(|count| {
                prop::collection::vec(prop::collection::vec(0..count, 0..4), count)
            })
        ) {
            prop_assert_eq!(find(&next), by_reach(&next));
        }
    }
}
