"""What is shown of a run: report, page, gallery, and what stands behind the figures."""
