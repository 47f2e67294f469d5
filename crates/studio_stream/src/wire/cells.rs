//! Blocks of motion vectors as bits.
//!
//! Each component is predicted from its left, upper and upper left neighbours by the median edge detector of
//! JPEG-LS (ITU-T T.87 §A.4.1), and what remains is written in Golomb–Rice codes (Rice 1979) with one parameter a block
//! and component. Neighbouring cells move alike, so a cell takes about a byte instead of four.

use super::{
    WireError,
    bits::{BitReader, BitWriter},
};
use studio_frame::prelude::*;

/// A Rice parameter that says: every cell is exactly as predicted.
const AS_PREDICTED: u32 = 15;
/// The largest real parameter.
const MAX_PARAMETER: u32 = 14;
/// A quotient from which on the value is written out plainly.
const ESCAPE: u32 = 20;
/// Bits of the largest zigzag residual: the difference of two 16-bit values.
const PLAIN_BITS: u32 = 17;

fn predict(left: i32, above: i32, above_left: i32) -> i32 {
    if above_left >= left.max(above) {
        left.min(above)
    } else if above_left <= left.min(above) {
        left.max(above)
    } else {
        left + above - above_left
    }
}

/// The prediction for cell `index` of a block `width` cells wide, from the cells before it.
fn prediction(values: &[i16], index: usize, width: usize) -> i32 {
    let at = |index: usize| i32::from(values[index]);
    match (index % width, index / width) {
        (0, 0) => 0,
        (_, 0) => at(index - 1),
        (0, _) => at(index - width),
        _ => predict(at(index - 1), at(index - width), at(index - width - 1)),
    }
}

/// Appends a component of a block.
fn put_component(out: &mut BitWriter, values: &[i16], width: usize) {
    let residuals: Vec<u32> = (0..values.len())
        .map(|index| {
            let residual = i32::from(values[index]) - prediction(values, index, width);
            (residual << 1 ^ residual >> 31) as u32
        })
        .collect();
    let sum: u64 = residuals.iter().map(|residual| u64::from(*residual)).sum();
    if sum == 0 {
        return out.put(AS_PREDICTED, 4);
    }
    // The parameter that makes the mean residual take about one bit of quotient.
    let count = residuals.len() as u64;
    let parameter = (0..MAX_PARAMETER).find(|parameter| count << parameter >= sum).unwrap_or(MAX_PARAMETER);
    out.put(parameter, 4);
    for residual in residuals {
        let quotient = residual >> parameter;
        if quotient < ESCAPE {
            out.put((1 << (quotient + 1)) - 2, quotient + 1);
            out.put(residual, parameter);
        } else {
            out.put((1 << ESCAPE) - 1, ESCAPE);
            out.put(residual, PLAIN_BITS);
        }
    }
}

fn take_component(bits: &mut BitReader, count: usize, width: usize) -> Result<Vec<i16>, WireError> {
    let mut values = Vec::with_capacity(count);
    let parameter = bits.take(4)?;
    for index in 0..count {
        let residual = if parameter == AS_PREDICTED {
            0
        } else {
            let mut quotient = 0;
            while quotient < ESCAPE && bits.take(1)? == 1 {
                quotient += 1;
            }
            if quotient < ESCAPE { quotient << parameter | bits.take(parameter)? } else { bits.take(PLAIN_BITS)? }
        };
        let residual = (residual >> 1) as i32 ^ -((residual & 1) as i32);
        let value = prediction(&values, index, width) + residual;
        values.push(i16::try_from(value).map_err(|_| WireError::Range("a motion vector"))?);
    }
    Ok(values)
}

/// Writes a block of cells, row by row, `width` cells a row (at least one).
pub(super) fn encode_cells(cells: &[MotionVector], width: usize) -> Vec<u8> {
    let mut out = BitWriter::default();
    for component in [|cell: &MotionVector| cell.x, |cell: &MotionVector| cell.y] {
        let values: Vec<i16> = cells.iter().map(component).collect();
        put_component(&mut out, &values, width);
    }
    debug_assert!(out.len() <= cells.len() * 10 + 1, "an escape takes 37 bits");
    out.finish()
}

/// Reads a block of `count` cells. The caller bounds `count`; `width` is at least one.
pub(super) fn decode_cells(bytes: &[u8], count: usize, width: usize) -> Result<Vec<MotionVector>, WireError> {
    let mut bits = BitReader::new(bytes);
    let x = take_component(&mut bits, count, width)?;
    let y = take_component(&mut bits, count, width)?;
    Ok(x.into_iter().zip(y).map(|(x, y)| MotionVector { x, y }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_cells() -> impl Strategy<Value = (usize, Vec<MotionVector>)> {
        let cell = prop_oneof![
            8 => (-40_i16..40, -40_i16..40),
            1 => (any::<i16>(), any::<i16>()),
        ];
        (1_usize..40, prop::collection::vec(cell.prop_map(|(x, y)| MotionVector { x, y }), 1..400))
    }

    proptest! {
        #[test]
        fn cells_round_trip((width, cells) in any_cells()) {
            let bytes = encode_cells(&cells, width);
            prop_assert_eq!(decode_cells(&bytes, cells.len(), width).expect("what was written is read"), cells);
        }

        #[test]
        fn garbage_is_refused_or_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300), width in 1_usize..70) {
            let _ = decode_cells(&bytes, 2048, width);
        }
    }

    #[test]
    fn a_smooth_field_takes_about_a_byte_a_cell_and_a_still_one_nothing() {
        let size = (64_usize, 32_usize);
        let smooth: Vec<MotionVector> = (0..size.0 * size.1)
            .map(|index| {
                let (x, y) = ((index % size.0) as f32, (index / size.0) as f32);
                let noise = ((index * 7919) % 5) as i16 - 2;
                MotionVector { x: (60.0 * (x / 20.0).sin()) as i16 + noise, y: (40.0 * (y / 9.0).cos()) as i16 - noise }
            })
            .collect();
        let bytes = encode_cells(&smooth, size.0).len();
        assert!(bytes < smooth.len() * 5 / 4, "{bytes} bytes for {} cells", smooth.len());
        assert_eq!(encode_cells(&vec![MotionVector::default(); 2048], 64).len(), 1);
    }
}
