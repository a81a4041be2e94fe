// Before the first paint, so that a chosen theme does not flash in the other one.
try {
  const theme = localStorage.getItem('tenfold-theme')
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme
} catch { /* Storage may be closed to pages: the system's theme it is. */ }
