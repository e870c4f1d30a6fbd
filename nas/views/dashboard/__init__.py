"""A search in the browser: optuna-dashboard with notes and figures, and our own live page, behind one door.

Nothing is ever written to the study: notes and figures are made when they are asked for.
`serving.open_dashboard` is the way in, `site.make_site` puts the parts together.
"""
