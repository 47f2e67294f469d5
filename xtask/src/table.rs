//! Tables for a terminal.

/// Lines of cells under a heading, columns aligned; the last column is not padded.
pub fn render(heading: &[&str], rows: &[Vec<String>]) -> String {
    let heading: Vec<String> = heading.iter().map(ToString::to_string).collect();
    let lines = || std::iter::once(&heading).chain(rows);
    let width = |column: usize| lines().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let all = [&heading, &rule].into_iter().chain(rows);
    let text = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all.map(text).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [
            vec!["stitch".to_owned(), "1 280 × 640".to_owned(), "7".to_owned()],
            vec!["x".to_owned(), String::new(), "12".to_owned()],
        ];
        let expected = "\
name    size         ms
------  -----------  --
stitch  1 280 × 640  7
x                    12";
        assert_eq!(render(&["name", "size", "ms"], &rows), expected);
    }
}
