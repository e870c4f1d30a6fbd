"""All that a person sees: terminal, dashboard, report and figures, and what they share."""
