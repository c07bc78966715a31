//! Where boxes and arrows of a drawing go: a layered layout (Sugiyama, Tagawa and Toda, 1981).
//!
//! Layers become columns, tall ones several; an arrow over more than one column is led through
//! each between by a bend of its own. Then rows: orders by the mean of the neighbours, heights by
//! isotonic regression, so that a box stands where its neighbours pull it and nothing overlaps.
//! All in integers and fixed rounds: the same plan gives the same picture.

use super::super::graph::Drawing;

/// Width of a box, and the room around it.
pub(super) const BOX_WIDTH: f64 = 240.0;
const BEND_HEIGHT: f64 = 6.0;
const ROW_GAP: f64 = 14.0;
const COLUMN_GAP: f64 = 68.0;
const MARGIN: f64 = 12.0;
/// How many boxes a column holds before its layer gets another.
const COLUMN_BOXES: usize = 20;
const ROUNDS: usize = 8;

/// A drawing with coordinates.
pub(super) struct Layout {
    pub(super) width: f64,
    pub(super) height: f64,
    /// The upper left corner of each box.
    pub(super) boxes: Vec<(f64, f64)>,
    /// For each arrow, in the drawing's order, the points it goes through.
    pub(super) arrows: Vec<Vec<(f64, f64)>>,
    /// The boxes of each column from top to bottom.
    pub(super) columns: Vec<Vec<usize>>,
}

/// What stands in a column: a box, or the bend of a long arrow.
struct Item {
    column: usize,
    height: f64,
    /// Items of the previous and the next column that it is joined with.
    before: Vec<usize>,
    after: Vec<usize>,
    center: f64,
}

impl Layout {
    /// Places the boxes of a drawing, which are as high as `heights` says.
    pub(super) fn new(drawing: &Drawing, heights: &[f64]) -> Self {
        let (mut items, chains) = items(drawing, heights);
        let columns = items.iter().map(|item| item.column + 1).max().unwrap_or(0);
        let mut order: Vec<Vec<usize>> = vec![Vec::new(); columns];
        for (index, item) in items.iter().enumerate() {
            order[item.column].push(index);
        }
        for column in &order {
            stack(&mut items, column);
        }
        for round in 0..ROUNDS {
            sweep(&mut items, &mut order, round % 2 == 0, true);
        }
        for round in 0..ROUNDS {
            sweep(&mut items, &mut order, round % 2 == 0, false);
        }
        finish(drawing, &items, &order, chains)
    }
}

/// Makes an item of each box and of each bend; returns the items each arrow goes through.
fn items(drawing: &Drawing, heights: &[f64]) -> (Vec<Item>, Vec<Vec<usize>>) {
    let mut items: Vec<Item> = columns_of_boxes(drawing)
        .into_iter()
        .zip(heights)
        .map(|(column, &height)| Item {
            column,
            height,
            before: Vec::new(),
            after: Vec::new(),
            center: 0.0,
        })
        .collect();
    let mut chains = Vec::with_capacity(drawing.arrows.len());
    for &(from, to) in &drawing.arrows {
        let mut chain = vec![from];
        for column in items[from].column + 1..items[to].column {
            let bend = items.len();
            let (before, after) = (Vec::new(), Vec::new());
            items.push(Item { column, height: BEND_HEIGHT, before, after, center: 0.0 });
            chain.push(bend);
        }
        chain.push(to);
        for pair in chain.windows(2) {
            items[pair[0]].after.push(pair[1]);
            items[pair[1]].before.push(pair[0]);
        }
        chains.push(chain);
    }
    (items, chains)
}

/// Gives each box its column: layers in order, tall ones spread over several columns, boxes with
/// the same dependencies side by side.
fn columns_of_boxes(drawing: &Drawing) -> Vec<usize> {
    let mut first_before = vec![usize::MAX; drawing.boxes.len()];
    for &(from, to) in &drawing.arrows {
        first_before[to] = first_before[to].min(from);
    }
    let mut layers: std::collections::BTreeMap<usize, Vec<usize>> = Default::default();
    for (index, it) in drawing.boxes.iter().enumerate() {
        layers.entry(it.layer).or_default().push(index);
    }
    let mut columns = vec![0; drawing.boxes.len()];
    let mut next = 0;
    for boxes in layers.values_mut() {
        boxes.sort_by_key(|&index| (drawing.boxes[index].place, first_before[index], index));
        let parts = boxes.len().div_ceil(COLUMN_BOXES);
        for part in boxes.chunks(boxes.len().div_ceil(parts)) {
            for &index in part {
                columns[index] = next;
            }
            next += 1;
        }
    }
    columns
}

fn stack(items: &mut [Item], column: &[usize]) {
    let mut top = 0.0;
    for &index in column {
        items[index].center = top + items[index].height / 2.0;
        top += items[index].height + ROW_GAP;
    }
}

/// Goes over all columns once, forwards or backwards: puts each item in order of, or at, the mean
/// of those it is joined with.
fn sweep(items: &mut [Item], order: &mut [Vec<usize>], forwards: bool, reorder: bool) {
    let columns: Vec<usize> =
        if forwards { (0..order.len()).collect() } else { (0..order.len()).rev().collect() };
    for column in columns {
        let wanted = |index: usize| {
            let item: &Item = &items[index];
            let joined = if forwards { &item.before } else { &item.after };
            if joined.is_empty() {
                return item.center;
            }
            #[expect(clippy::cast_precision_loss, reason = "a drawing has few boxes")]
            let number = joined.len() as f64;
            joined.iter().map(|&other| items[other].center).sum::<f64>() / number
        };
        let mut wishes: Vec<(f64, usize)> =
            order[column].iter().map(|&index| (wanted(index), index)).collect();
        if reorder {
            wishes.sort_by(|(a, _), (b, _)| a.total_cmp(b));
            order[column] = wishes.iter().map(|&(_, index)| index).collect();
        }
        let heights: Vec<f64> = wishes.iter().map(|&(_, index)| items[index].height).collect();
        let wishes: Vec<f64> = wishes.into_iter().map(|(wish, _)| wish).collect();
        for (center, &index) in place(&wishes, &heights).into_iter().zip(&order[column]) {
            items[index].center = center;
        }
    }
}

/// Returns the centers nearest to `wishes` (least squares) that keep order and distances: pools
/// adjacent violators after the distances have been taken out.
fn place(wishes: &[f64], heights: &[f64]) -> Vec<f64> {
    let mut offsets = Vec::with_capacity(wishes.len());
    let mut offset = 0.0;
    for (index, height) in heights.iter().enumerate() {
        if index > 0 {
            offset += f64::midpoint(heights[index - 1], *height) + ROW_GAP;
        }
        offsets.push(offset);
    }
    // Each pool: the sum of its wishes, and how many they are.
    let mut pools: Vec<(f64, usize)> = Vec::new();
    let mean = |&(sum, number): &(f64, usize)| {
        #[expect(clippy::cast_precision_loss, reason = "a drawing has few boxes")]
        let number = number as f64;
        sum / number
    };
    for (wish, offset) in wishes.iter().zip(&offsets) {
        let mut pool = (wish - offset, 1);
        while let Some(last) = pools.last()
            && mean(last) > mean(&pool)
        {
            pool = (last.0 + pool.0, last.1 + pool.1);
            pools.pop();
        }
        pools.push(pool);
    }
    let bases = pools.iter().flat_map(|pool| std::iter::repeat_n(mean(pool), pool.1));
    bases.zip(offsets).map(|(base, offset)| base + offset).collect()
}

fn finish(
    drawing: &Drawing,
    items: &[Item],
    order: &[Vec<usize>],
    chains: Vec<Vec<usize>>,
) -> Layout {
    let top = items.iter().map(|item| item.center - item.height / 2.0).fold(f64::MAX, f64::min);
    let bottom = items.iter().map(|item| item.center + item.height / 2.0).fold(0.0, f64::max);
    #[expect(clippy::cast_precision_loss, reason = "a drawing has few columns")]
    let left = |column: usize| MARGIN + column as f64 * (BOX_WIDTH + COLUMN_GAP);
    let row = |item: &Item| (item.center - top + MARGIN).round();
    let boxes = items[..drawing.boxes.len()]
        .iter()
        .map(|item| (left(item.column), row(item) - item.height / 2.0))
        .collect();
    let arrows = chains
        .into_iter()
        .map(|chain| {
            let mut points = Vec::with_capacity(chain.len() * 2);
            for (index, &item) in chain.iter().enumerate() {
                let item = &items[item];
                if index > 0 {
                    points.push((left(item.column), row(item)));
                }
                if index + 1 < chain.len() {
                    points.push((left(item.column) + BOX_WIDTH, row(item)));
                }
            }
            points
        })
        .collect();
    let columns = order
        .iter()
        .map(|column| column.iter().copied().filter(|&it| it < drawing.boxes.len()).collect())
        .collect();
    Layout {
        width: left(order.len()) - COLUMN_GAP + MARGIN,
        height: (bottom - top.min(bottom) + 2.0 * MARGIN).round(),
        boxes,
        arrows,
        columns,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::sample, *};

    #[test]
    fn boxes_keep_apart_and_arrows_go_to_the_right() {
        for plan in [sample::plan(), sample::large(1, 70), sample::large(9, 12)] {
            let drawing = Drawing::whole(&plan);
            let heights: Vec<f64> =
                (0..drawing.boxes.len()).map(|index| [58.0, 90.0, 120.0][index % 3]).collect();
            let layout = Layout::new(&drawing, &heights);
            for column in &layout.columns {
                for pair in column.windows(2) {
                    let (upper, lower) = (layout.boxes[pair[0]], layout.boxes[pair[1]]);
                    assert!(upper.1 + heights[pair[0]] <= lower.1, "{upper:?} {lower:?}");
                }
            }
            for (&(x, y), height) in layout.boxes.iter().zip(&heights) {
                assert!(x >= 0.0 && x + BOX_WIDTH <= layout.width, "{x} of {}", layout.width);
                assert!(y >= 0.0 && y + height <= layout.height, "{y} of {}", layout.height);
            }
            for points in &layout.arrows {
                assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0), "{points:?}");
            }
        }
    }

    #[test]
    fn boxes_stand_where_they_are_pulled_and_never_overlap() {
        let step = 58.0 + ROW_GAP;
        let heights = [58.0; 3];
        assert_eq!(place(&[0.0, 0.0, 0.0], &heights), [-step, 0.0, step]);
        assert_eq!(place(&[0.0, 500.0, 501.0], &heights)[0], 0.0);
        for pair in place(&[9.0, 3.0, 700.0], &heights).windows(2) {
            assert!(pair[1] - pair[0] >= step - 0.001);
        }
    }
}
