// Runs before the first paint, so that the page does not flash in the other theme. A module would run too late.
{
  const chosen = (() => {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null; // The browser stores nothing, so the theme follows the system.
    }
  })();
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
