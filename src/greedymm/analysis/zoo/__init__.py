"""Results of many methods -> leaderboards, one for each choice of their settings: tables, figures and one page."""
