-- Makes :classes more schools of the one that `demo/manage.py seed` wrote: same shape, new keys, other times.
-- Keys are derived, so the same number makes the same rows.
SET client_min_messages = error;
BEGIN;
CREATE FUNCTION pg_temp.key(uuid, int) RETURNS uuid LANGUAGE sql IMMUTABLE RETURN md5($1::text || '/' || $2)::uuid;
CREATE TEMP TABLE class AS SELECT generate_series(1, :classes) AS n;
CREATE TEMP TABLE exam AS TABLE exams_exam;
CREATE TEMP TABLE copy AS TABLE exams_copy;
CREATE TEMP TABLE booklet AS TABLE exams_booklet;
CREATE TEMP TABLE annotation AS TABLE exams_annotation;
CREATE TEMP TABLE event AS TABLE exams_gradingevent;
ANALYZE;

INSERT INTO exams_exam (id, name, date, coefficient, grading_scheme, archived, reference_copy_id, created_at, updated_at)
  SELECT pg_temp.key(id, n), name || ', groupe ' || n, date, coefficient, grading_scheme, archived,
         pg_temp.key(reference_copy_id, n), created_at + n * interval '1 hour', updated_at + n * interval '1 hour'
  FROM class, exam ORDER BY n;
INSERT INTO exams_copy (id, pdf, anonymous_id, status, graded_at, score, locked_by_id, exam_id, student_id)
  SELECT pg_temp.key(id, n), replace(pdf, id::text, pg_temp.key(id, n)::text),
         'C-' || upper(left(md5(anonymous_id || '/' || n), 16)), status, graded_at + n * interval '1 hour', score,
         locked_by_id, pg_temp.key(exam_id, n), student_id
  FROM class, copy ORDER BY n;
INSERT INTO exams_booklet (first_page, last_page, pages_images, copy_id)
  SELECT first_page, last_page,
         replace(pages_images::text, copy_id::text, pg_temp.key(copy_id, n)::text)::jsonb, pg_temp.key(copy_id, n)
  FROM class, booklet ORDER BY n;
INSERT INTO exams_annotation (id, page, x, y, w, h, content, type, score_delta, created_at, created_by_id, copy_id)
  SELECT pg_temp.key(id, n), page, sin(x * n) ^ 2, sin(y * n) ^ 2, w, h, content, type, score_delta,
         created_at + n * interval '61.000123 minutes', created_by_id, pg_temp.key(copy_id, n)
  FROM class, annotation ORDER BY n;
INSERT INTO exams_gradingevent (action, timestamp, metadata, duration, actor_id, copy_id)
  SELECT action, timestamp + n * interval '61.000123 minutes', metadata, duration, actor_id, pg_temp.key(copy_id, n)
  FROM class, event ORDER BY n;
COMMIT;
VACUUM ANALYZE;
