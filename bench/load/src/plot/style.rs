//! Colours of plots and pages, on light ground and dark, on paper.

/// Distinct also to those who see few colours (after Okabe and Ito), with a contrast of 3 : 1 at least to the ground:
/// on light ground, on dark.
const COLOURS: [(&str, &str); 7] = [
    ("#0072b2", "#5ab4f0"),
    ("#c75000", "#ff9150"),
    ("#00805e", "#34d0a0"),
    ("#a8558a", "#e79fca"),
    ("#8f6500", "#f2bf45"),
    ("#2b8cc4", "#a5dcff"),
    ("#444c56", "#d0d7de"),
];

/// Dashes tell series of one colour apart.
pub const DASHES: [&str; 4] = ["", "7 4", "2 3", "9 3 2 3"];

/// What is not a series: class, property, light, dark.
const PARTS: [(&str, &str, &str, &str); 10] = [
    ("ground", "fill", "#ffffff", "#0d1117"),
    ("text", "fill", "#1f2328", "#e6edf3"),
    ("muted", "fill", "#59636e", "#9da7b3"),
    ("grid", "stroke", "#d5dae0", "#323a44"),
    ("minor", "stroke", "#eef0f3", "#1c232c"),
    ("axis", "stroke", "#59636e", "#9da7b3"),
    ("mark", "stroke", "#9aa4ae", "#5d6772"),
    ("asked", "stroke", "#c4232e", "#ff7b72"),
    ("halo", "stroke", "#ffffff", "#0d1117"),
    ("hole", "fill", "#ffffff", "#0d1117"),
];

/// The series of that number, as attributes that any program understands and a class that browsers change.
pub fn series(number: usize, property: &str) -> String {
    let number = number % COLOURS.len();
    format!("{property}=\"{}\" class=\"tp-{property}{number}\"", COLOURS[number].0)
}

/// Attributes of a part.
pub fn part(name: &str) -> String {
    let (_, property, light, _) = PARTS.iter().find(|(part, ..)| *part == name).expect("a part that has a colour");
    format!("{property}=\"{light}\" class=\"tp-{name}\"")
}

fn colours(dark: bool) -> String {
    let choose = |light: &'static str, of_dark: &'static str| if dark { of_dark } else { light };
    let parts = PARTS
        .iter()
        .map(|(name, property, light, of_dark)| format!(".tp-{name}{{{property}:{}}}", choose(light, of_dark)));
    let of_series = COLOURS.iter().enumerate().flat_map(|(number, (light, of_dark))| {
        ["fill", "stroke"].map(|property| format!(".tp-{property}{number}{{{property}:{}}}", choose(light, of_dark)))
    });
    parts.chain(of_series).collect()
}

/// Style of all plots, whether inside a page or in files of their own.
pub fn plots() -> String {
    format!(
        ".tp{{font-family:system-ui,-apple-system,\"Segoe UI\",Roboto,\"Helvetica Neue\",Arial,sans-serif;\
         font-variant-numeric:tabular-nums}}\
         @media (prefers-color-scheme:dark){{{}}}@media print{{{}}}",
        colours(true),
        colours(false)
    )
}

/// In a file of its own a plot fits its picture's width.
pub const FILE: &str = "@media (max-width:480px){.tp-wide{display:none}.tp-narrow{display:inline}}";

/// In a page it fits the column that it stands in.
pub const PAGE: &str = "figure{container-type:inline-size;margin:0;break-inside:avoid}\
     @container (max-width:480px){.tp-wide{display:none}.tp-narrow{display:inline}}";
