-- Back to rows of mentions. The schema `analysis` is made anew by the migrations before; what was counted at earlier times,
-- and links of names, which that release does not know either, stay behind or are lost.

DROP SCHEMA analysis CASCADE;
DROP TRIGGER note_promotion_of_new ON comention.annotator;
DROP TRIGGER note_promotion ON comention.annotator;
DROP TRIGGER sentence_is_slice ON comention.sentence;
DROP TRIGGER sentence_stays ON comention.sentence;
DROP TRIGGER mention_in_sentence ON comention.sentence;
DROP TRIGGER mention_has_name ON comention.name;
DROP FUNCTION comention.refuse_sentence_change();
DROP FUNCTION comention.refuse_sentence_loss();
DROP FUNCTION comention.refuse_name_loss();
DROP FUNCTION comention.refuse_wrong_sentences();
DROP FUNCTION comention.note_promotion();
DROP FUNCTION comention.index_sentences(integer);
DROP FUNCTION comention.link_names(integer[], integer[]);
DROP FUNCTION comention.take_out_counts(integer[], smallint, text);
DROP FUNCTION comention.count_in(integer[], smallint);
DROP FUNCTION comention.contribution(integer[], smallint);
DROP FUNCTION comention.citation_contribution(integer[], smallint, boolean);
DROP FUNCTION comention.fold_counts(interval);
DROP SEQUENCE comention.folded_at;
DROP FUNCTION comention.merge_years(integer[]);
DROP FUNCTION comention.contribution_of_retracted();
DROP FUNCTION comention.find_concept(text, text);
DROP FUNCTION comention.concepts_beginning(smallint, text, text, integer, integer, integer);
DROP FUNCTION comention.associate(text, text, bigint, bigint, integer, integer, bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint);
DROP FUNCTION comention.years_of_cell(smallint, integer, integer);
DROP FUNCTION comention.margin(smallint, integer, integer);
DROP FUNCTION comention.rank_pairs(smallint, integer, integer, integer, bigint);
DROP FUNCTION comention.rank_pairs_of_years(smallint, integer, integer, integer, bigint, integer, integer);
DROP FUNCTION comention.rank_pairs_of_mentions(smallint, integer, integer, integer, bigint, integer, integer, text, text, real);
DROP FUNCTION comention.changes_of_pair(integer, integer, timestamptz);
DROP VIEW comention.cooccurrence_cell;
DROP VIEW comention.cooccurrence_part;
DROP VIEW comention.cooccurrence_total_part;
DROP VIEW comention.owed;
