//! A link as a picture for phones.

use qrcode::{EcLevel, QrCode, types::Color};

/// Modules around the code that must be light (ISO/IEC 18004 §6.3.8).
const QUIET: i32 = 4;

/// Draws a link as a QR code of half blocks, two modules a character, for terminals: light on dark, as readers expect of a page
/// on which ink is dark; on a terminal with dark ink it is inverted, which readers take too. `None` for a link that is too long
/// for one (about 2,900 bytes).
pub fn terminal_code(link: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(link, EcLevel::L).ok()?;
    let width = i32::try_from(code.width()).ok()?;
    let light = |x: i32, y: i32| {
        let inside = (0..width).contains(&x) && (0..width).contains(&y);
        !inside || code[(x as usize, y as usize)] == Color::Light
    };
    let rows = (-QUIET..width + QUIET).step_by(2).map(|y| {
        let row = (-QUIET..width + QUIET).map(|x| match (light(x, y), light(x, y + 1)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        });
        row.chain(['\n']).collect::<String>()
    });
    Some(rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_square_and_has_its_finders_and_a_quiet_zone() {
        let link =
            "https://192.168.1.20:4433/live?token=secret#sha256=0c113bfb5e42b4f2eeb37abc34f0bb986fe5572083cd0c4c16f5b95c2fc5d9e9";
        let rows: Vec<Vec<char>> = terminal_code(link).expect("short enough").lines().map(|row| row.chars().collect()).collect();
        let width = rows[0].len();
        assert!(rows.iter().all(|row| row.len() == width) && rows.len() == width.div_ceil(2), "{width} by {}", rows.len());
        assert!(width <= 80, "{width} columns: it must fit a terminal");
        assert!(rows[..2].iter().flatten().all(|&module| module == '█'), "the quiet zone");
        // A finder pattern's first two rows: seven dark modules, then one dark, five light, one dark.
        let finder = |from: usize| rows[2][from..from + 7].iter().collect::<String>();
        assert_eq!((finder(4).as_str(), finder(width - 11).as_str()), (" ▄▄▄▄▄ ", " ▄▄▄▄▄ "));
        assert_eq!(terminal_code(&"x".repeat(4000)), None);
    }
}
