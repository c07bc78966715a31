//! What comes first where things name each other, and the circle where nothing does.

/// At most this many circles are told; mending one often mends others.
const MOST_CIRCLES: usize = 20;

/// Returns an order in which every node comes behind the nodes it points to, or circles: each a
/// list of nodes of which every one points to the next and the last to the first.
///
/// Nothing here recurses: a chain of a hundred thousand names is a valid input.
pub(crate) fn order(edges: &[Vec<usize>]) -> Result<Vec<usize>, Vec<Vec<usize>>> {
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); edges.len()];
    let mut open: Vec<usize> = edges.iter().map(Vec::len).collect();
    for (node, targets) in edges.iter().enumerate() {
        for &target in targets {
            users[target].push(node);
        }
    }
    let mut done: Vec<usize> = (0..edges.len()).filter(|&node| open[node] == 0).collect();
    let mut next = 0;
    while let Some(&node) = done.get(next) {
        next += 1;
        for &user in &users[node] {
            open[user] -= 1;
            if open[user] == 0 {
                done.push(user);
            }
        }
    }
    if done.len() == edges.len() {
        return Ok(done);
    }
    // Every node still open points to an open one, so walking on must close a circle.
    let mut circles = Vec::new();
    let mut walked: Vec<Option<usize>> = vec![None; edges.len()];
    for start in 0..edges.len() {
        let mut path = Vec::new();
        let mut node = start;
        while open[node] > 0 && walked[node].is_none() {
            walked[node] = Some(start);
            path.push(node);
            match edges[node].iter().copied().filter(|&target| open[target] > 0).min() {
                Some(target) => node = target,
                None => break,
            }
        }
        if !path.is_empty()
            && walked[node] == Some(start)
            && let Some(first) = path.iter().position(|&at| at == node)
        {
            let mut circle = path.split_off(first);
            let smallest = (0..circle.len()).min_by_key(|&at| circle[at]).unwrap_or(0);
            circle.rotate_left(smallest);
            circles.push(circle);
            if circles.len() == MOST_CIRCLES {
                break;
            }
        }
    }
    Err(circles)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pointed_to_comes_first() {
        assert_eq!(order(&[vec![1, 2], vec![2], vec![]]), Ok(vec![2, 1, 0]));
        assert_eq!(order(&[]), Ok(vec![]));
    }

    #[test]
    fn a_circle_is_told_whole_and_once() {
        // 0 -> 1 -> 2 -> 3 -> 1, and 4 -> 4.
        let edges = [vec![1], vec![2], vec![3], vec![1], vec![4]];
        assert_eq!(order(&edges), Err(vec![vec![1, 2, 3], vec![4]]));
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let count = 200_000;
        let edges: Vec<Vec<usize>> =
            (0..count).map(|node| if node + 1 < count { vec![node + 1] } else { vec![] }).collect();
        assert_eq!(order(&edges).map(|order| order.len()), Ok(count));
    }
}
