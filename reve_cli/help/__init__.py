"""Documentation in the tool: `--help`, `reve help TOPIC` and the manual page.

Open `manual` first: it describes the command tree. `topics` reads topics/*.md, `markdown` parses them, and `pages` lays
out both as text or roff. `documents` describes every JSON document, `tables` holds the tables that tests write into the
Markdown files, and `skill` makes a SKILL.md file of the topic for agents.

Other packages use `manual.describe_with_this`, `manual.help_text`, `manual.next_words`, `documents.schema`,
`skill.install` and `topics.TOPICS`.
"""
