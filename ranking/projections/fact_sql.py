"""What a recorded impression adds to exposure, as SQL: one text for the sums that are made anew and for old answers."""

from __future__ import annotations

from ranking.projections.weight_sums import RANKS

# each product s.product_id that an impression m showed, its rank r.rank, and the curve that was in force then
SHOWN = f"""feedback_impression m CROSS JOIN LATERAL unnest(m.items) WITH ORDINALITY AS s (product_id, n)
   CROSS JOIN LATERAL (SELECT least(m.first_rank + s.n - 1, {RANKS})::integer AS rank) r
    LEFT JOIN LATERAL (SELECT curve, cardinality(curve) AS ranks FROM ranking_examination x
                        WHERE x.shop_id = m.shop_id AND x.position < m.position
                        ORDER BY x.position DESC LIMIT 1) e ON true"""
# P(looked at), as ranking.weights.factors.examination has it
EXPOSURE = """coalesce(e.curve[r.rank], coalesce(e.curve[e.ranks] * ln(1 + e.ranks::double precision), ln(2::double precision))
                                   / ln(1 + r.rank::double precision))"""
